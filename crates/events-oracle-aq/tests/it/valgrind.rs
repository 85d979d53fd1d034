//! No invalid access, seen by valgrind over the other tests.

use std::process::Command;

use events_testkit::{Missing, long};

/// What a run under valgrind leaves out: itself, and tests that say how long something may take.
const SKIPPED: [&str; 5] = ["valgrind", "killed", "questions", "an_outage", "at_once"];

#[test]
fn valgrind_sees_no_invalid_access() {
    let test = "valgrind_sees_no_invalid_access";
    if !long(test) {
        return;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        let missing = Missing::new("valgrind", "valgrind is not installed; run with --install");
        return missing.skip(test);
    }
    let suppressions = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/odpi.supp");
    let mut run = Command::new("valgrind");
    run.args(["-q", "--error-exitcode=9", "--num-callers=30"])
        .arg(format!("--suppressions={suppressions}"))
        .arg(std::env::current_exe().unwrap())
        .arg("--test-threads=2");
    for skipped in SKIPPED {
        run.args(["--skip", skipped]);
    }
    let output = run.env_remove("EVENTS_TEST_LONG").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let accesses: Vec<&str> = said.lines().filter(|line| line.starts_with("==")).collect();
    assert!(accesses.is_empty(), "{}", accesses.join("\n"));
    let results = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{results}");
}
