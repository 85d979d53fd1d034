//! strace: system calls of a process that are told, made to fail, or made to kill it.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Missing;

/// Whether strace is there and may do its work; if not, the test is reported as skipped.
///
/// # Panics
/// When `EVENTS_TEST_REQUIRE` lists strace and it is not there.
#[must_use]
pub fn available(test: &str) -> bool {
    let mut probe = Command::new("strace");
    probe
        .args(["-f", "-o", "/dev/null", "true"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    if probe.status().is_ok_and(|status| status.success()) {
        return true;
    }
    let why = "strace is not installed, or may not trace; run with --install as root";
    Missing::new("strace", why).skip(test);
    false
}

/// The words that run a program under strace with these expressions (`-e`); what it sees goes to
/// a file. The program and its arguments follow.
#[must_use]
pub fn words(log: &Path, expressions: &[&str]) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["strace", "-f", "-qq", "-o"].map(OsString::from).into();
    words.push(log.into());
    for expression in expressions {
        words.extend(["-e".into(), expression.into()]);
    }
    words
}
