//! What `durability` and `ack_durability` do to the disk: flushes, counted by the kernel's own calls.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use events_testkit::strace;
use tempfile::TempDir;

const EVENTS: usize = 40;
/// Opening, migrating, checkpoints and closing flush too.
const OTHER: usize = 15;

/// What a traced process did, in order.
#[derive(Debug, PartialEq)]
enum Call {
    Flushed,
    Printed(String),
}

/// Runs a program under strace, and feeds it; `None` where that cannot be.
fn traced(test: &str, program: &str, arguments: &[&str], input: &str) -> Option<Vec<Call>> {
    if !strace::available(test) {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("calls");
    let words = strace::words(&log, &["trace=fdatasync,fsync,write"]);
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .args(["-s", "80"])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(log.lines().filter_map(call).collect())
}

/// A line of strace: a finished flush, or the begin of what is written to standard output.
fn call(line: &str) -> Option<Call> {
    if line.contains("sync") && line.ends_with("= 0") {
        return Some(Call::Flushed);
    }
    let (_, text) = line.split_once("write(1, \"")?;
    Some(Call::Printed(text.to_owned()))
}

fn flushes(calls: &[Call]) -> usize {
    calls.iter().filter(|call| **call == Call::Flushed).count()
}

fn publish(test: &str, folder: &Path, options: &str) -> Option<Vec<Call>> {
    let input = format!("publish orders 0 {EVENTS} 10\nshutdown\n");
    let file = folder.join("a.db");
    let arguments = [file.to_str().unwrap(), options];
    traced(
        test,
        env!("CARGO_BIN_EXE_events-test-peer"),
        &arguments,
        &input,
    )
}

#[test]
fn a_publish_is_flushed_before_it_is_answered_unless_process_is_enough() {
    let test = "durability::a_publish_is_flushed_before_it_is_answered_unless_process_is_enough";
    let (power, process) = (folder(), folder());
    let Some(power) = publish(test, power.path(), "durability = 'power'") else {
        return;
    };
    let process = publish(test, process.path(), "durability = 'process'").unwrap();
    let answers = |calls: &[Call]| {
        let is_answer =
            |call: &&Call| matches!(call, Call::Printed(text) if text.starts_with("ok "));
        calls.iter().filter(is_answer).count()
    };
    assert_eq!((answers(&power), answers(&process)), (EVENTS, EVENTS));
    let mut flushed = false;
    for call in &power {
        match call {
            Call::Flushed => flushed = true,
            Call::Printed(text) if text.starts_with("ok ") => {
                assert!(
                    flushed,
                    "{text} was answered before it was flushed: {power:?}"
                );
                flushed = false;
            }
            Call::Printed(_) => {}
        }
    }
    assert!(
        flushes(&process) <= OTHER,
        "{} flushes for {EVENTS} events",
        flushes(&process)
    );
}

#[test]
fn an_ack_is_flushed_only_when_it_is_strict() {
    let test = "durability::an_ack_is_flushed_only_when_it_is_strict";
    for (word, least, most) in [("relaxed", 0, OTHER), ("strict", EVENTS, usize::MAX)] {
        let folder = folder();
        let Some(published) = publish(test, folder.path(), "") else {
            return;
        };
        // One after the other, so that no two share a commit.
        let acks: String = ids(&published).map(|id| format!("ack {id}\n")).collect();
        let file = folder.path().join("a.db");
        let options = format!("ack_durability = '{word}'");
        let input = format!("take orders {EVENTS} 30\n{acks}shutdown\n");
        let arguments = [file.to_str().unwrap(), &options];
        let calls = traced(
            test,
            env!("CARGO_BIN_EXE_events-test-peer"),
            &arguments,
            &input,
        )
        .unwrap();
        let acked = |call: &&Call| matches!(call, Call::Printed(text) if text.starts_with("acked"));
        assert_eq!(calls.iter().filter(acked).count(), EVENTS);
        let flushes = flushes(&calls);
        assert!(
            (least..=most).contains(&flushes),
            "{word}: {flushes} flushes for {EVENTS} acks"
        );
    }
}

/// The ids that were printed when they were stored.
fn ids(calls: &[Call]) -> impl Iterator<Item = &str> {
    calls.iter().filter_map(|call| match call {
        Call::Printed(text) => text
            .strip_prefix("ok ")?
            .split_whitespace()
            .nth(1)?
            .get(..32),
        Call::Flushed => None,
    })
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}
