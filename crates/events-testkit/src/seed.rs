//! Random input that can be had again.

/// The seed of a test: that of `EVENTS_TEST_SEED`, else a new one. A test that fails tells it.
///
/// # Panics
/// When the variable is no number.
#[must_use]
pub fn seed() -> u64 {
    match std::env::var("EVENTS_TEST_SEED") {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("EVENTS_TEST_SEED={text} is no number")),
        Err(_) => fastrand::u64(..),
    }
}
