//! What only tests do to a process: places at which they end it, and a disk that is full.
//!
//! `EVENTS_FAILPOINT=before_commit:3` aborts at the third pass of `before_commit`, as a crash would:
//! no destructor runs and nothing is closed. Only the private feature `_failpoints` compiles this
//! in; without it the macro expands to nothing. One action at one place is all that the tests of
//! crashes need, so there is no crate behind it.

/// Ends the process here if the environment says so.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "_failpoints")]
        $crate::failpoint::pass($name);
    };
}
pub(crate) use failpoint;

#[cfg(feature = "_failpoints")]
pub(crate) fn pass(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let text = std::env::var("EVENTS_FAILPOINT").ok()?;
        let (name, pass) = text
            .split_once(':')
            .and_then(|(name, pass)| Some((name, pass.parse().ok()?)))
            .unwrap_or_else(|| panic!("EVENTS_FAILPOINT={text}: expected name:pass"));
        Some((name.to_owned(), pass))
    });
    static PASSES: AtomicU64 = AtomicU64::new(0);

    if let Some((armed, pass)) = &*ARMED
        && armed == name
        && PASSES.fetch_add(1, Ordering::SeqCst) + 1 == *pass
    {
        std::process::abort();
    }
}

/// The pages that a database file may have; 0 until a test says so.
#[cfg(feature = "_failpoints")]
static PAGES: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

/// Limits the pages of every database file that this process writes to, from its next transaction
/// on: what would make a file longer finds no room, as on a full disk. A file that is longer may
/// not grow.
#[cfg(feature = "_failpoints")]
pub fn limit_pages(pages: u32) {
    PAGES.store(pages, std::sync::atomic::Ordering::SeqCst);
}

/// Tells the limit to a connection, which forgets it when it is closed.
#[cfg(feature = "_failpoints")]
pub(crate) fn apply_limit(connection: &rusqlite::Connection) -> rusqlite::Result<()> {
    match PAGES.load(std::sync::atomic::Ordering::SeqCst) {
        0 => Ok(()),
        pages => connection.pragma_update(None, "max_page_count", pages),
    }
}
