//! The write-ahead log: bounded under load, shortened when whoever held it back has gone, copied by
//! whatever process there is; and the file, which gives back what a burst has made it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::peer::{PATIENCE, Peer, assert_sound, url};

pub(crate) const MIB: u64 = 1024 * 1024;
/// The log begins anew beyond 64 MiB; until that is done 16 MiB more may be written, and a batch.
pub(crate) const BOUND: u64 = (64 + 16 + 8) * MIB;
/// Without a flush for each commit, so that the disk is no bottleneck.
pub(crate) const FAST: &str = "durability = \"process\"";

/// In memory where that is possible: these tests write much, and no disk is a part of them.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

pub(crate) fn log_of(file: &Path) -> PathBuf {
    file.with_extension("db-wal")
}

pub(crate) fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |found| found.len())
}

/// Pages in the log, and how many of them are copied. Looking changes nothing.
fn pages(database: &Connection) -> (i64, i64) {
    database
        .query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| {
            Ok((row.get(1)?, row.get(2)?))
        })
        .unwrap()
}

/// Whether the log holds nothing that the database does not.
pub(crate) fn is_copied(file: &Path) -> bool {
    let (pages, copied) = pages(&Connection::open(file).unwrap());
    pages == copied
}

/// The size of the database, what is still in the log included.
fn size(database: &Connection) -> u64 {
    let pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let bytes: i64 = database.query_row(pages, [], |row| row.get(0)).unwrap();
    bytes.unsigned_abs()
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(10)); // between two looks
    }
}

/// About 850 kB of payload, and 900 kB of log.
fn burst(n: u64) -> String {
    format!("batch orders {} 100 8500", n * 100)
}

#[test]
fn the_log_is_bounded_under_load() {
    let folder = folder();
    let file = folder.path().join("events.db");
    let mut peer = Peer::start(&file, FAST);
    peer.opened().unwrap();
    let mut longest = 0;
    for n in 0..130 {
        assert!(peer.obey(&burst(n)).done);
        longest = longest.max(length(&log_of(&file)));
    }
    assert!(longest <= BOUND, "{} MiB of log", longest / MIB);
    let database = Connection::open(&file).unwrap();
    assert!(size(&database) > BOUND, "the load was too small to tell");
    assert_sound(&file);
}

/// Several processes write at full speed: the log of all of them is bounded, and when they rest
/// everything is copied.
#[test]
fn several_processes_share_the_upkeep() {
    let folder = folder();
    let file = folder.path().join("events.db");
    let mut peers: Vec<_> = (0..3).map(|_| Peer::start(&file, FAST)).collect();
    for peer in &peers {
        peer.opened().unwrap();
    }
    let mut longest = 0;
    for n in 0..50 {
        for peer in &mut peers {
            peer.tell(&burst(n));
        }
        for peer in &mut peers {
            assert!(peer.answers("batch").done);
        }
        longest = longest.max(length(&log_of(&file)));
    }
    // Each of them may have written its step meanwhile.
    let bound = BOUND + 2 * 16 * MIB;
    assert!(longest <= bound, "{} MiB of log", longest / MIB);
    let database = Connection::open(&file).unwrap();
    assert!(size(&database) > bound, "the load was too small to tell");
    until("at rest not everything is copied", || {
        let (pages, copied) = pages(&database);
        pages == copied
    });
}

/// A reader that stays keeps the log from beginning anew, and publishing goes on. When it has gone
/// the log is cut off.
#[test]
fn the_log_shrinks_when_a_reader_that_stayed_has_gone() {
    let folder = folder();
    let file = folder.path().join("events.db");
    let mut peer = Peer::start(&file, FAST);
    peer.opened().unwrap();
    assert!(peer.obey(&burst(0)).done);
    let reader = Connection::open(&file).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM sqlspec_event_queue")
        .unwrap();
    let mut slowest = Duration::ZERO;
    for n in 1..115 {
        let start = Instant::now();
        assert!(peer.obey(&burst(n)).done);
        slowest = slowest.max(start.elapsed());
    }
    let held_back = length(&log_of(&file));
    assert!(held_back > BOUND, "the reader held nothing back");
    // Nobody waits for the reader.
    assert!(
        slowest < Duration::from_secs(5),
        "{slowest:?} for a publish"
    );
    reader.execute_batch("COMMIT").unwrap();
    until("the log is as long as before", || {
        length(&log_of(&file)) == 0
    });
    assert!(peer.obey(&burst(115)).done);
    assert_sound(&file);
}

/// A consumer that is killed when the test ends early.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn consume(file: &Path, options: &str) -> Worker {
    let consumer = json!({"listen": false, "nack_each": 0});
    let order = json!({"Work": {
        "name": "consumer",
        "url": url(file),
        "options": format!("poll_interval = 0.02\n{options}"),
        "history": file.with_extension("history"),
        "blocking": false,
        "publish": [],
        "consume": vec![consumer; 4],
    }});
    let worker = Command::new(env!("CARGO_BIN_EXE_events-test-worker"))
        .arg(order.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    Worker(worker.unwrap())
}

#[test]
fn a_process_that_only_consumes_copies_the_log() {
    const EVENTS: i64 = 3000;
    let folder = folder();
    let file = folder.path().join("events.db");
    let mut publisher = Peer::start(&file, FAST);
    publisher.opened().unwrap();
    assert!(publisher.obey(&format!("batch orders 0 {EVENTS} 100")).done);
    assert!(publisher.obey("shutdown").done);
    drop(publisher);

    let database = Connection::open(&file).unwrap();
    let _worker = consume(&file, "");
    let acked = "SELECT count(*) FROM sqlspec_event_queue WHERE status = 14";
    until("not everything is handled", || {
        let acked: i64 = database.query_row(acked, [], |row| row.get(0)).unwrap();
        acked == EVENTS
    });
    until("the log is not copied", || {
        let (pages, copied) = pages(&database);
        assert!(pages > 0, "it wrote nothing");
        pages == copied
    });
}

/// After a burst that was consumed the file is nearly as small as before it.
#[test]
fn a_file_that_a_burst_has_made_large_shrinks() {
    let folder = folder();
    let file = folder.path().join("events.db");
    let options = "retention_seconds = 0";
    let mut publisher = Peer::start(&file, &format!("{FAST}\n{options}"));
    publisher.opened().unwrap();
    for n in 0..40 {
        assert!(publisher.obey(&burst(n)).done);
    }
    let database = Connection::open(&file).unwrap();
    assert!(
        size(&database) > 25 * MIB,
        "the burst was too small to tell"
    );
    let _worker = consume(&file, options);
    until("not everything is handled", || {
        let left: i64 = database
            .query_row("SELECT count(*) FROM sqlspec_event_queue", [], |row| {
                row.get(0)
            })
            .unwrap();
        left == 0
    });
    until("the file stays large", || {
        size(&database) < 20 * MIB && length(&file) < 20 * MIB
    });
    assert_sound(&file);
}
