//! The n-th write, flush or change of length fails, for each n until one is beyond the work. What
//! was acknowledged is there, what was refused for certain is not, and the process goes on.
//!
//! strace makes the system calls fail, one in each thread; so the library is the one that users run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use events_testkit::strace;

use crate::peer::{Answers, Peer, assert_sound, command};
use crate::watch::{Seen, Watch};

/// Of each sweep, unless the long tests run.
const FIRST: usize = 40;
/// A sweep that goes on and on tests nothing new.
const ALL: usize = 2000;
/// What is in the file before: numbers below this.
const BEFORE: u64 = 5;
/// A short lease, so that what a failed process held comes back soon.
const OPTIONS: &str = "lease_seconds = 0.3\npoll_interval = 0.05";

/// A file with some events in it, closed.
fn prepared(folder: &Path) -> BTreeMap<u64, String> {
    let mut peer = Peer::start(&folder.join("events.db"), OPTIONS);
    peer.opened().unwrap();
    let published = peer.obey(&format!("batch orders 0 {BEFORE} 500")).published;
    assert!(peer.obey("shutdown").done);
    peer.end();
    published
}

/// What one run with a failing call promised.
#[derive(Debug, Default)]
struct Run {
    published: BTreeMap<u64, String>,
    /// Numbers whose publish was refused, with the kind of the error.
    refused: BTreeMap<u64, String>,
    acked: Option<u64>,
    /// Whether a call was made to fail at all.
    injected: bool,
}

fn run(folder: &Path, inject: &str) -> Run {
    let (file, log) = (folder.join("events.db"), folder.join("strace.log"));
    let calls = inject.split(':').next().unwrap();
    let expressions = [format!("trace={calls}"), format!("inject={inject}")];
    let strace = strace::words(&log, &expressions.each_ref().map(String::as_str));
    let mut peer = Peer::spawn(command(&strace, &file, OPTIONS));
    let mut run = Run::default();
    match peer.opened() {
        Err(error) => assert_typed(inject, &error),
        Ok(()) => {
            publish(&mut peer, &mut run, inject, 10..18);
            consume(&mut peer, &mut run, inject);
            publish(&mut peer, &mut run, inject, 20..24);
            assert!(peer.obey("shutdown").done, "{inject}: it did not end well");
        }
    }
    peer.end();
    // Nothing was traced if it ended before its first such call.
    let log = fs::read_to_string(log).unwrap_or_default();
    run.injected = log.contains("(INJECTED)");
    run
}

fn publish(peer: &mut Peer, run: &mut Run, inject: &str, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let answers = peer.obey(&format!("publish orders {n} 1 500"));
        assert!(answers.done, "{inject}: it died");
        check_errors(inject, &answers);
        match answers.errors()[..] {
            [] => drop(run.published.insert(n, answers.published[&n].clone())),
            [kind] => drop(run.refused.insert(n, kind.to_owned())),
            _ => panic!("{inject}: {answers:?}"),
        }
    }
}

/// Takes one event and acknowledges it.
fn consume(peer: &mut Peer, run: &mut Run, inject: &str) {
    for _ in 0..2 {
        let taken = peer.obey("take orders 1 5");
        assert!(taken.done, "{inject}: it died");
        check_errors(inject, &taken);
        let Some(event) = taken.others.iter().find(|line| line.starts_with("got")) else {
            continue; // the claim failed, and is tried again
        };
        let words: Vec<&str> = event.split(' ').collect();
        let acked = peer.obey(&format!("ack {}", words[1]));
        check_errors(inject, &acked);
        if acked.others == ["acked"] {
            run.acked = Some(words[2].parse().unwrap());
        }
        return;
    }
}

fn check_errors(inject: &str, answers: &Answers) {
    let errors = answers.others.iter().filter(|line| line.starts_with("err"));
    errors.for_each(|error| assert_typed(inject, error));
}

fn assert_typed(inject: &str, error: &str) {
    let kind = error.split(' ').nth(1).unwrap_or_default();
    assert!(
        matches!(kind, "Unavailable" | "StorageFull"),
        "{inject}: {error}"
    );
}

/// Fails the n-th of these calls for n = 1, 2, … until it is not reached any more.
fn sweep(test: &str, call: &str) {
    if !strace::available(test) {
        return;
    }
    let refused = refused_in_sweep(call);
    assert!(refused > 0, "no failing call was met by a publish");
}

/// As [`sweep`]; answers how many publishes were refused.
fn refused_in_sweep(call: &str) -> usize {
    let template = tempfile::tempdir().unwrap();
    let before = prepared(template.path());
    let long = std::env::var_os("EVENTS_TEST_LONG").is_some();
    let mut refused = 0;
    for n in 1..=if long { ALL } else { FIRST } {
        let inject = format!("{call}:when={n}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.db");
        fs::copy(template.path().join("events.db"), &file).unwrap();
        let run = run(folder.path(), &inject);
        // Each thread has its own count, and of the threads one publishes.
        assert!(
            run.refused.len() <= 1,
            "{inject}: it did not recover: {run:?}"
        );
        refused += run.refused.len();
        check(&file, &inject, &before, &run);
        if !run.injected {
            break;
        }
    }
    refused
}

/// Opened again without faults: everything that was promised, nothing that was not.
fn check(file: &Path, inject: &str, before: &BTreeMap<u64, String>, run: &Run) {
    assert_sound(file);
    let (seen, stats): (BTreeMap<u64, Seen>, _) = Watch::start(file, OPTIONS).drain();
    for (n, id) in before.iter().chain(&run.published) {
        match seen.get(n) {
            Some(event) => assert_eq!(&event.id, id, "{inject}"),
            None => assert_eq!(run.acked, Some(*n), "{inject}: {n} is lost: {run:?}"),
        }
    }
    for n in seen.keys() {
        assert_ne!(run.acked, Some(*n), "{inject}: {n} was acknowledged");
        // An I/O error leaves open what the file holds; a full disk does not.
        let known = before.contains_key(n) || run.published.contains_key(n);
        let open = run.refused.get(n).is_some_and(|kind| kind == "Unavailable");
        assert!(
            known || open,
            "{inject}: {n} was refused, and is there: {run:?}"
        );
    }
    assert_eq!(stats.dead, 0, "{inject}");
}

#[test]
fn a_write_fails() {
    sweep("io_errors::a_write_fails", "pwrite64:error=EIO");
}

#[test]
fn a_write_finds_no_space() {
    sweep("io_errors::a_write_finds_no_space", "pwrite64:error=ENOSPC");
}

#[test]
fn a_flush_fails() {
    sweep("io_errors::a_flush_fails", "fsync,fdatasync:error=EIO");
}

/// Shared memory and logs change their length where no publisher waits.
#[test]
fn a_change_of_length_fails() {
    if strace::available("io_errors::a_change_of_length_fails") {
        refused_in_sweep("ftruncate:error=EIO");
        refused_in_sweep("ftruncate:error=ENOSPC");
    }
}

/// The process is killed at its n-th write: within a transaction, within the copying of the log,
/// and within its end.
#[test]
fn it_is_killed_at_a_write() {
    if !strace::available("io_errors::it_is_killed_at_a_write") {
        return;
    }
    let template = tempfile::tempdir().unwrap();
    let before = prepared(template.path());
    let long = std::env::var_os("EVENTS_TEST_LONG").is_some();
    let mut deaths = 0;
    // Most writes of such a short life are made by its end, so every third does by default.
    for n in (1..=ALL).step_by(if long { 1 } else { 3 }) {
        let inject = format!("pwrite64:signal=KILL:when={n}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.db");
        fs::copy(template.path().join("events.db"), &file).unwrap();
        let expression = format!("inject={inject}");
        let strace = strace::words("/dev/null".as_ref(), &["trace=pwrite64", &expression]);
        let mut peer = Peer::spawn(command(&strace, &file, OPTIONS));
        let mut run = Run::default();
        let mut done = false;
        if peer.opened().is_ok() {
            let answers = peer.obey("publish orders 10 12 500");
            run.published = answers.published;
            done = answers.done && peer.obey("shutdown").done;
            let asked = 10 + run.published.len() as u64;
            run.refused.insert(asked, "Unavailable".to_owned());
        }
        peer.end();
        check(&file, &inject, &before, &run);
        if done {
            break;
        }
        deaths += 1;
    }
    assert!(deaths > 20, "it died only {deaths} times");
}
