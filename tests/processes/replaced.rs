//! The database file is taken away, or another one is put in its place, while it is open.

use std::fs;
use std::path::Path;
use std::time::Duration;

use event_channels::{ErrorKind, EventChannel, blocking};
use events_testkit::history::{Expect, State};
use events_testkit::process::Process;
use events_testkit::sqlite::rows_at_rest;

use crate::crowd::drain;
use crate::order::CHANNEL;
use crate::run::Run;

/// Puts a fresh database in the place of this one, as somebody does who restores a copy.
fn replace(file: &Path) {
    let copy = file.with_file_name("copy.db");
    let made = blocking::EventChannel::open(format!("sqlite:{}", copy.display())).unwrap();
    made.shutdown().unwrap();
    for end in ["-wal", "-shm"] {
        let mut log = file.as_os_str().to_owned();
        log.push(end);
        fs::remove_file(&log).unwrap();
    }
    fs::rename(&copy, file).unwrap();
}

/// Guarantee 1: what is published after the file was replaced is not stored where nobody looks;
/// guarantee 2: the queue of an idle consumer is not merely empty. Publishers and consumers are
/// told, and end.
#[test]
fn g1_g2_a_replaced_file_ends_publishers_and_idle_consumers_with_an_error() {
    for on_threads in [false, true] {
        let mut run = Run::new();
        let idle = run.work("idle").consumes(1, false).blocking(on_threads);
        let mut idle = idle.publishes(Some(1), 1).start();
        idle.says("received");
        idle.says("finished");
        // Of another group of processes, so to speak: it gets what the idle one does not wait for.
        let publisher = run
            .work("publisher")
            .blocking(on_threads)
            .publishes(None, 1);
        let mut publisher = publisher.pausing(Duration::from_millis(5)).start();
        publisher.says("published");
        replace(&run.file());
        for process in [&mut idle, &mut publisher] {
            process.says("failed database replaced");
            assert!(!process.wait().success());
        }
        assert!(
            rows_at_rest(&run.file()).is_empty(),
            "the file that took the place was written to"
        );
    }
}

/// Guarantee 2: while the file is away callers are told that it is, and when it is back everything
/// goes on.
#[test]
fn g2_a_file_that_is_away_for_a_while_is_waited_for() {
    let mut run = Run::new();
    let start = |on_threads| {
        let work = run.work("worker").consumes(1, false).publishes(None, 1);
        let work = work.pausing(Duration::from_millis(5)).blocking(on_threads);
        work.start()
    };
    let mut workers: Vec<Process> = [false, true].map(start).into();
    workers
        .iter_mut()
        .for_each(|worker| worker.says("published"));
    let away = run.file().with_file_name("away.db");
    fs::rename(run.file(), &away).unwrap();
    workers.iter_mut().for_each(|worker| worker.says("refused"));
    assert!(!run.file().exists(), "an empty file was put in its place");
    fs::rename(&away, run.file()).unwrap();
    workers.iter_mut().for_each(|worker| worker.says("resumed"));
    drain(&mut run, workers);
    let report = run.check(&Expect::new());
    report.assert_clean("a file that was away");
    assert_eq!(
        report.failures.keys().collect::<Vec<_>>(),
        ["unavailable"],
        "{report}"
    );
    assert_eq!(
        report.rest,
        [(State::Acked, report.published)].into(),
        "{report}"
    );
}

/// Every call names the file and the way out, and no answer looks like that of an empty queue.
#[tokio::test]
async fn g2_a_replaced_file_is_an_error_of_every_call() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shared.db");
    let channel = EventChannel::open(format!("sqlite:{}", file.display()))
        .await
        .unwrap();
    channel.publish(CHANNEL, 1).await.unwrap();
    let mut events = channel.iter_events(CHANNEL).await.unwrap();
    let message = events.next().await.unwrap().unwrap();
    let path = file.clone();
    std::thread::spawn(move || replace(&path)).join().unwrap();
    // The stream asks within its poll interval; from then on every call is told.
    let error = events.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Replaced, "{error}");
    assert!(events.next().await.is_none());
    for error in [
        channel.publish(CHANNEL, 2).await.unwrap_err(),
        channel.ack(&message).await.unwrap_err(),
        channel.stats(CHANNEL).await.unwrap_err(),
        channel.health().await.unwrap_err(),
        channel.iter_events(CHANNEL).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Replaced, "{error}");
        for hint in ["shared.db", "open it again"] {
            assert!(
                error.to_string().contains(hint),
                "{hint:?} is not in: {error}"
            );
        }
    }
    channel.shutdown().await.unwrap();
    let again = EventChannel::open(format!("sqlite:{}", file.display()))
        .await
        .unwrap();
    assert_eq!(again.stats(CHANNEL).await.unwrap().total().ready, 0);
    again.publish(CHANNEL, 3).await.unwrap();
}
