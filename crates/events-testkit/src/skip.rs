//! Tests that cannot run here say so, or fail where they must run.

use std::fs::OpenOptions;
use std::io::Write as _;

/// A test cannot run here because something is missing.
#[derive(Debug, Clone)]
pub struct Missing {
    /// What is missing, in the words of `EVENTS_TEST_REQUIRE`: `postgres`, `pgbouncer`, …
    pub what: &'static str,
    /// Why, and the way out.
    pub why: String,
}

impl Missing {
    /// Something is missing.
    #[must_use]
    pub fn new(what: &'static str, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { what, why }
    }

    /// Reports that a test is skipped for want of this.
    ///
    /// # Panics
    /// When `EVENTS_TEST_REQUIRE` lists it, because then the test must run.
    pub fn skip(&self, test: &str) {
        let Self { what, why } = self;
        assert!(
            !required(what),
            "{test} needs {what}, which EVENTS_TEST_REQUIRE lists: {why}"
        );
        skipped(test, why);
    }
}

/// Whether `EVENTS_TEST_REQUIRE` lists this.
fn required(what: &str) -> bool {
    let list = std::env::var("EVENTS_TEST_REQUIRE").unwrap_or_default();
    list.split(',').any(|word| word.trim() == what)
}

/// Whether tests that take minutes run; if not, this one is reported as skipped.
#[must_use]
pub fn long(test: &str) -> bool {
    let long = std::env::var_os("EVENTS_TEST_LONG").is_some();
    if !long {
        skipped(test, "takes minutes; run with --long");
    }
    long
}

/// How often something random is done: so many times, more with `--long`, and as many as
/// `EVENTS_TEST_CYCLES` says if it says something.
///
/// # Panics
/// When the variable is no number.
#[must_use]
pub fn cycles(usual: u32, long: u32) -> u32 {
    match std::env::var("EVENTS_TEST_CYCLES") {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("EVENTS_TEST_CYCLES={text} is no number")),
        Err(_) if std::env::var_os("EVENTS_TEST_LONG").is_some() => long,
        Err(_) => usual,
    }
}

/// Reports a skip where the test runner finds it.
pub(crate) fn skipped(test: &str, reason: &str) {
    let line = format!("skipped: {test}: {reason}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(log) = std::env::var_os("EVENTS_TEST_SKIP_LOG")
        && let Ok(mut log) = OpenOptions::new().append(true).create(true).open(log)
    {
        let _ = log.write_all(line.as_bytes());
    }
}
