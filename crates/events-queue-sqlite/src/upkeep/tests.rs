//! The log while commits go on, and a pause of the writer.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use events_core::Op;

use crate::SqliteConfig;
use crate::bell::Watch;
use crate::error::sqlite;
use crate::job::{Kind, Terms};
use crate::log::{Checkpoint, LogGauge, ROOM_BYTES};
use crate::open::{connect, connect_beside, database};
use crate::writer::Writer;

const PATIENCE: Duration = Duration::from_secs(20);

fn writer(config: &SqliteConfig) -> Writer {
    let database = database(connect(config).unwrap(), config, Watch::new).unwrap();
    Writer::start(database, config).unwrap()
}

fn run(writer: &Writer, sql: &'static str) {
    let terms = Terms::new(Kind::Publish, Op::Admin);
    let ran = writer.submit(terms, move |db| {
        let ran = db.connection.execute_batch(sql);
        ran.map_err(|e| sqlite(Op::Admin, e))
    });
    ran.wait().unwrap();
}

/// Commits come without a rest and far from the limit: the log is written over all the same.
#[test]
fn a_log_that_has_grown_begins_anew_while_commits_go_on() {
    log_begins_anew("CREATE TABLE t (a)");
}

/// Nor does it need the room that was to be made for it.
#[test]
fn a_log_without_room_begins_anew_as_well() {
    log_begins_anew("CREATE TABLE t (a); CREATE TABLE events_log_room (a)");
}

fn log_begins_anew(tables: &'static str) {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig::file(folder.path().join("app.db"));
    let writer = writer(&config);
    run(&writer, tables);
    let beside = connect_beside(&config, PATIENCE).unwrap();
    let pages = || {
        let found = Checkpoint::run(&beside, "PRAGMA wal_checkpoint(NOOP)").unwrap();
        found.map_or(0, |found| found.pages)
    };
    let long = LogGauge::new(4096, false).step();
    while pages() < long {
        run(&writer, "INSERT INTO t VALUES (zeroblob(400000))");
    }
    let until = Instant::now() + PATIENCE;
    while pages() >= long {
        assert!(Instant::now() < until, "{} pages of log", pages());
        run(&writer, "INSERT INTO t VALUES (1)");
    }
}

/// A job that takes long, as on a slow disk, delays the pause and does not prevent it; the end of
/// the thread does.
#[test]
fn a_pause_waits_for_the_batch_and_ends_with_the_thread() {
    let writer = writer(&SqliteConfig::memory());
    for stopped in [false, true] {
        let (begin, began) = mpsc::channel();
        let (free, wait) = mpsc::channel::<()>();
        let mut job = writer.submit(Terms::new(Kind::Read, Op::Admin), move |_| {
            let _ = begin.send(());
            // Longer than any batch is expected to take.
            let _ = wait.recv_timeout(Duration::from_millis(if stopped { 20_000 } else { 300 }));
            Ok(())
        });
        job.start();
        began.recv().unwrap();
        let stop = AtomicBool::new(stopped);
        let paused = thread::scope(|threads| {
            let pause = threads.spawn(|| writer.shared().while_paused(&stop, || 7));
            pause.join().unwrap()
        });
        assert_eq!(paused, (!stopped).then_some(7));
        drop(free);
        job.wait().unwrap();
    }
}

/// The log gets as long as it will be while it is short, and nothing is stored by that.
#[test]
fn a_log_that_flushed_commits_fill_has_room_early() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let config = SqliteConfig::file(&path);
    let writer = writer(&config);
    run(&writer, "CREATE TABLE t (a)");
    let log = || {
        std::fs::metadata(folder.path().join("app.db-wal"))
            .unwrap()
            .len()
    };
    assert!(log() < 100_000);
    run(&writer, "INSERT INTO t VALUES (zeroblob(600000))");
    let until = Instant::now() + PATIENCE;
    while log() < u64::from(ROOM_BYTES / 8 * 7) {
        assert!(Instant::now() < until, "{} bytes of log", log());
        thread::sleep(Duration::from_millis(1)); // it is looked at again
    }
    assert!(log() < u64::from(ROOM_BYTES / 8 * 9));
    let beside = connect_beside(&config, PATIENCE).unwrap();
    let found = Checkpoint::run(&beside, "PRAGMA wal_checkpoint(NOOP)")
        .unwrap()
        .unwrap();
    assert!(found.pages < 200, "{found:?}");
    let tables: i64 = beside
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 1);
}
