//! The tests of a binary under valgrind, which sees every access outside of what was allocated.

use std::io::Write as _;
use std::process::Command;

use crate::{Missing, long};

/// What is known of libraries that are not ours.
const SUPPRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/odpi.supp");

/// Runs the other tests of this binary under valgrind, where tests that take minutes run.
///
/// `arguments` choose them, as libtest's do, and `test` is the name of the caller. Processes that
/// they start are watched too. A test that says how long something may take can fail at this pace;
/// whether it passes is told by the run without valgrind, and here only that all ran to their end.
///
/// # Panics
/// When there was an invalid access, the tests did not end by themselves, or none of them passed.
pub fn sees_no_invalid_access(test: &str, arguments: &[&str]) {
    if !long(test) {
        return;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        let missing = Missing::new("valgrind", "valgrind is not installed; run with --install");
        return missing.skip(test);
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut run = Command::new("valgrind");
    run.args(["-q", "--trace-children=yes", "--num-callers=30"])
        .arg(format!("--suppressions={SUPPRESSIONS}"))
        // One for each process, since a test reads what its processes say.
        .arg(format!("--log-file={}/%p", folder.path().display()))
        .arg(std::env::current_exe().expect("this program has a path"))
        .args(["--test-threads=2", "--skip", test])
        .args(arguments)
        .env_remove("EVENTS_TEST_LONG")
        .env_remove("EVENTS_TEST_SKIP_LOG");
    let output = run.output().expect("valgrind runs");
    let logs: Vec<_> = std::fs::read_dir(folder.path())
        .and_then(Iterator::collect)
        .expect("valgrind keeps a log");
    assert!(!logs.is_empty(), "valgrind kept no log");
    for log in &logs {
        let seen = std::fs::read_to_string(log.path()).expect("a log can be read");
        assert!(seen.is_empty(), "{seen}");
    }
    let results = String::from_utf8_lossy(&output.stdout);
    let summary = results
        .lines()
        .find(|line| line.starts_with("test result: "));
    let summary = summary.unwrap_or_else(|| panic!("the tests did not end: {results}"));
    assert!(
        !summary.contains(" 0 passed;"),
        "nothing was run: {summary}"
    );
    let said = format!(
        "{test}: {} processes, no invalid access: {summary}\n",
        logs.len()
    );
    let _ = std::io::stderr().write_all(said.as_bytes());
}
