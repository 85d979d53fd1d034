//! Processes that migrate one file at once, against each other, and are killed at it.

use std::path::Path;
use std::time::Duration;

use event_channels::migrations::State;
use event_channels::{ErrorKind, EventsConfig, blocking};
use events_testkit::process::Process;
use events_testkit::seed;
use events_testkit::sqlite::rows_at_rest;
use rusqlite::Connection;

use crate::order::{CHANNEL, Migrate};
use crate::run::Run;

fn url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

/// A process that migrates when its input is closed.
fn migrator(file: &Path, down: bool) -> Process {
    let url = url(file);
    let mut process = Migrate { url, down }.start();
    process.says("ready");
    process
}

/// How many migrations each process ran, all beginning at one moment.
fn at_once(mut processes: Vec<Process>) -> Vec<String> {
    processes
        .iter_mut()
        .for_each(|process| drop(process.input()));
    let answer = |mut process: Process| {
        let line = process.line();
        let status = process.wait();
        assert!(status.success(), "{line}");
        line
    };
    processes.into_iter().map(answer).collect()
}

/// Whether the tables are there: all of them, or none.
fn is_migrated(file: &Path) -> bool {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = EventsConfig::new(url(file)).unwrap();
    let status = runtime.block_on(config.migrate_status()).unwrap();
    let applied = status
        .iter()
        .filter(|one| one.state == State::Applied)
        .count();
    assert!(applied == 0 || applied == status.len(), "{status:?}");
    let opened = runtime.block_on(config.auto_migrate(false).open());
    match opened {
        Ok(channel) => {
            assert_eq!(applied, status.len(), "tables without a record");
            runtime.block_on(channel.shutdown()).unwrap();
            true
        }
        Err(error) => {
            assert_eq!(
                (error.kind(), applied),
                (ErrorKind::SchemaMissing, 0),
                "{error}"
            );
            false
        }
    }
}

/// Everything works, and the migration is recorded once.
fn works(file: &Path) {
    let channel = blocking::EventChannel::open(url(file)).unwrap();
    let id = channel.publish(CHANNEL, 1).unwrap();
    let next = channel
        .iter_events(CHANNEL)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(next.event_id, id);
    channel.shutdown().unwrap();
    assert_eq!(rows_at_rest(file).len(), 1);
    let sql = "SELECT count(*) FROM event_channels_migrations WHERE id = 'ext_events_0001'";
    let database = Connection::open(file).unwrap();
    let recorded: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(recorded, 1);
}

#[test]
fn processes_that_migrate_at_once_make_the_tables_once() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..15 {
        let file = folder.path().join(format!("{round}.db"));
        let processes = (0..3).map(|_| migrator(&file, false)).collect();
        let mut answers = at_once(processes);
        answers.sort();
        assert_eq!(
            answers,
            ["migrated 0", "migrated 0", "migrated 1"],
            "round {round}"
        );
        works(&file);
    }
}

/// Whatever the order in which they come, each does its work whole, and what is left is tables or
/// none.
#[test]
fn up_against_down_leaves_all_tables_or_none() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..15 {
        let file = folder.path().join(format!("{round}.db"));
        at_once(vec![migrator(&file, false)]);
        let answers = at_once(vec![migrator(&file, true), migrator(&file, false)]);
        assert_eq!(
            answers[0], "migrated 1",
            "round {round}: what was there is gone"
        );
        let up_came_last = answers[1] == "migrated 1";
        assert_eq!(
            is_migrated(&file),
            up_came_last,
            "round {round}: {answers:?}"
        );
        at_once(vec![migrator(&file, false)]);
        works(&file);
    }
}

/// A publisher and an idle consumer learn that somebody has dropped the tables under them.
#[test]
fn g2_dropped_tables_are_an_error_and_not_an_empty_queue() {
    let mut run = Run::new();
    let work = run.work("publisher").publishes(None, 1);
    let mut publisher = work.pausing(Duration::from_millis(5)).start();
    publisher.says("published");
    let mut consumer = run.work("consumer").consumes(1, false).start();
    consumer.says("received");
    at_once(vec![migrator(&run.file(), true)]);
    for process in [&mut publisher, &mut consumer] {
        process.says("failed schema missing");
        assert!(!process.wait().success());
    }
    assert!(!is_migrated(&run.file()));
}

/// A migration that was killed has happened, or has not; the next one completes it.
#[test]
fn a_migration_that_is_killed_is_whole_or_none() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let rounds = if std::env::var_os("EVENTS_TEST_LONG").is_some() {
        1_000
    } else {
        40
    };
    for round in 0..rounds {
        let file = folder.path().join(format!("{round}.db"));
        let down = random.bool();
        if down {
            at_once(vec![migrator(&file, false)]);
        }
        let mut process = migrator(&file, down);
        drop(process.input());
        std::thread::sleep(Duration::from_micros(random.u64(0..6_000))); // the random moment
        process.kill();
        let context = format!("EVENTS_TEST_SEED={seed}, round {round}, down {down}");
        let ended = process.unread().iter().any(|line| line == "migrated 1");
        // What it had told is done; else either will do.
        let migrated = is_migrated(&file);
        assert!(!ended || migrated != down, "{context}");
        at_once(vec![migrator(&file, false)]);
        assert!(is_migrated(&file), "{context}");
        works(&file);
    }
}
