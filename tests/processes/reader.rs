//! A program that reads one old state of the database on and on.

use std::thread;
use std::time::{Duration, Instant};

use events_testkit::history::Expect;
use events_testkit::process::PATIENCE;
use rusqlite::Connection;

use crate::crowd::{assert_calm, drain, workers};
use crate::order::Hostile;
use crate::run::{Run, finish};

/// Pages in the log that the database does not hold. Looking changes nothing.
fn not_copied(database: &Connection) -> i64 {
    let sql = "PRAGMA wal_checkpoint(NOOP)";
    let look = |row: &rusqlite::Row<'_>| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?);
    database.query_row(sql, [], look).unwrap()
}

/// Guarantees 2 to 4: it holds back the log, as the page on SQLite says, and nobody else. When it
/// has gone the log is copied to its end by whoever is left.
#[test]
fn g2_g3_g4_an_eternal_reader_holds_back_the_log_and_nobody() {
    let mut run = Run::new();
    let mut workers = workers(&mut run, 4, Duration::from_millis(1));
    for worker in &mut workers {
        worker.says("published");
        worker.says("received");
    }
    let reader = Hostile {
        file: run.file(),
        write_lock: None,
        pause: Duration::ZERO,
        times: 0,
    };
    let mut reader = reader.start("reader");
    reader.says("reading");
    thread::sleep(Duration::from_secs(2)); // how long the others are at work beside it
    let database = Connection::open(run.file()).unwrap();
    assert!(not_copied(&database) > 0, "the reader holds back the log");

    // One that publishes nothing any more is left, and has the rest to do.
    let mut last = run
        .work("idle")
        .consumes(1, false)
        .publishes(Some(1), 1)
        .start();
    last.says("finished");
    drain(&mut run, workers);
    finish([reader]);
    let until = Instant::now() + PATIENCE;
    while not_copied(&database) > 0 {
        assert!(Instant::now() < until, "the log is as long as before");
        thread::sleep(Duration::from_millis(10)); // between two looks
    }
    finish([last]);
    drop(database);
    assert_calm(&run.check(&Expect::new()), "a reader that stays");
}
