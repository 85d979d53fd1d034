//! The locks of SQLite, which POSIX takes from a process as soon as it closes any descriptor of the
//! locked file: so nobody but SQLite may open the files of a database.
//!
//! A process that has lost its locks writes beside others, and another one that closes the database
//! deletes the log under its hands: both lose what was acknowledged.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use events_testkit::{kernel, strace};
use rusqlite::{Connection, ErrorCode};
use serde_json::json;

use crate::peer::{Peer, assert_sound, command};
use crate::upkeep::{is_copied, until};

const OPTIONS: &str = "poll_interval = 0.05";

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Whatever a process does with its database between opening and closing it.
fn everything(peer: &mut Peer, file: &Path, mut after: impl FnMut(&str, &Peer)) {
    let mut obey = |command: &str| {
        let answers = peer.obey(command);
        assert!(
            answers.done && answers.errors().is_empty(),
            "{command}: {answers:?}"
        );
        after(command, peer);
        answers.others
    };
    for command in [
        "publish orders 0 5 100",
        "lead orders 5 5 100",
        "batch orders 10 20 100",
        "group orders 30 5 100",
        "stats orders",
        "health",
        "status",
        "another",
        "publish mail 0 1 100",
    ] {
        obey(command);
    }
    for verdict in ["ack", "nack"] {
        let taken = obey("take orders 1 10");
        let id = taken[0].split(' ').nth(1).expect("an event was there");
        obey(&format!("{verdict} {id}"));
    }
    // The bell is made again, and the file is looked at again, by publishers and by the listener.
    fs::remove_file(beside(file, "-events-bell")).unwrap();
    until("the bell is not made again", || {
        obey("publish orders 50 1 100");
        beside(file, "-events-bell").exists()
    });
    // The log is copied and, since the process rests, a look is taken at the pages.
    until("the log is not copied", || {
        obey("count events.publish");
        is_copied(file)
    });
    obey("take orders 1 10");
}

/// The kernel says that the process holds its locks; and another process that opens and closes the
/// database does not take itself for the last one.
#[test]
fn g1_a_process_keeps_the_locks_of_its_database_whatever_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.db");
    let mut peer = Peer::start(&file, OPTIONS);
    peer.opened().unwrap();
    everything(&mut peer, &file, |command, peer| {
        for locked in [&file, &beside(&file, "-shm")] {
            let kept = kernel::has_lock(peer.id(), locked);
            assert!(kept, "{command}: no lock on {}", locked.display());
        }
        let database = Connection::open(&file).unwrap();
        let count = "SELECT count(*) FROM sqlspec_event_queue";
        let _: i64 = database.query_row(count, [], |row| row.get(0)).unwrap();
        drop(database);
        assert!(
            beside(&file, "-wal").exists(),
            "{command}: the log was deleted under its hands"
        );
    });
    assert!(peer.obey("shutdown").done);
    let has_lock = kernel::has_lock(peer.id(), &file);
    assert!(!has_lock, "the locks that were seen are others");
    assert_sound(&file);
}

/// While a transaction of its process writes, no way into the library gives its lock away.
#[test]
fn g1_a_transaction_keeps_the_write_lock_whatever_the_library_does_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.db");
    let mut peer = Peer::start(&file, OPTIONS);
    peer.opened().unwrap();
    assert_eq!(peer.obey("publish orders 0 1 10").published.len(), 1);
    let id = peer.obey("take orders 1 10").others[0]
        .split(' ')
        .nth(1)
        .map(str::to_owned);
    assert_eq!(peer.obey(&format!("ack {}", id.unwrap())).others, ["acked"]);
    let write = || {
        let other = Connection::open(&file).unwrap();
        other.busy_timeout(Duration::ZERO).unwrap();
        other.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
    };
    assert!(peer.obey("hold").done);
    for command in [
        "health",
        "stats orders",
        "status",
        "another",
        "take orders 1 0.2",
    ] {
        let answers = peer.obey(command);
        assert!(
            answers.done && answers.errors().is_empty(),
            "{command}: {answers:?}"
        );
        let taken = write().expect_err(command).sqlite_error_code();
        assert_eq!(taken, Some(ErrorCode::DatabaseBusy), "{command}");
    }
    fs::remove_file(beside(&file, "-events-bell")).unwrap();
    until("the bell is not made again", || {
        assert!(peer.obey("take orders 1 0.05").done);
        beside(&file, "-events-bell").exists()
    });
    assert!(write().is_err(), "the lock was given away with the bell");
    assert!(peer.obey("let_go").done);
    write().unwrap();
}

/// How a file was opened: the flags, without the one that says whether it may be made.
type Opened = (PathBuf, BTreeSet<String>);

/// The opens in what strace has written.
fn opened(log: &Path) -> Vec<Opened> {
    let text = fs::read_to_string(log).unwrap();
    let open = |line: &str| {
        let (_, call) = line.split_once("open")?;
        let (_, rest) = call.split_once('"')?;
        let (path, rest) = rest.split_once("\", ")?;
        let flags = rest.split([',', ')', ' ']).next()?.split('|');
        let flags = flags.filter(|flag| *flag != "O_CREAT").map(str::to_owned);
        Some((PathBuf::from(path), flags.collect()))
    };
    text.lines().filter_map(open).collect()
}

const OPENING: &str = "trace=open,openat,openat2,creat";

/// How SQLite opens the files of a database: a program that knows nothing of events shows it.
fn as_sqlite_does(file: &Path, log: &Path) -> BTreeSet<BTreeSet<String>> {
    let order = json!({"Hostile": {
        "file": file, "write_lock": {"secs": 0, "nanos": 0}, "pause": {"secs": 0, "nanos": 0}, "times": 1,
    }});
    let words = strace::words(log, &[OPENING]);
    let ran = Command::new(&words[0])
        .args(&words[1..])
        .args([env!("CARGO_BIN_EXE_events-test-worker"), &order.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    assert!(ran.unwrap().success());
    let files = ["", "-wal", "-shm"].map(|end| beside(file, end));
    let opened = opened(log).into_iter();
    let ours = opened.filter(|(path, _)| files.contains(path));
    ours.map(|(_, flags)| flags).collect()
}

#[test]
fn g1_nothing_but_sqlite_opens_the_files_of_a_database() {
    if !strace::available("locks::g1_nothing_but_sqlite_opens_the_files_of_a_database") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [file, log] = ["events.db", "calls"].map(|name| folder.path().join(name));
    let words = strace::words(&log, &[OPENING]);
    let mut peer = Peer::spawn(command(&words, &file, OPTIONS));
    peer.opened().unwrap();
    everything(&mut peer, &file, |_, _| ());
    assert!(peer.obey("shutdown").done);
    peer.end();
    let calls = opened(&log);

    let sqlite = as_sqlite_does(&file, &log);
    assert!(!sqlite.is_empty(), "SQLite opened nothing");
    for end in ["", "-wal", "-shm"] {
        let path = beside(&file, end);
        let mut opens = calls
            .iter()
            .filter(|(opened, _)| *opened == path)
            .map(|(_, flags)| flags);
        if end.is_empty() {
            // Made before anybody has a lock on it; what exists is never opened so.
            let made = opens.next().expect("the file was made");
            assert!(made.contains("O_EXCL"), "{made:?}");
        }
        let opens: Vec<_> = opens.collect();
        assert!(!opens.is_empty(), "{} was never opened", path.display());
        for flags in opens {
            assert!(
                sqlite.contains(flags),
                "{} was opened with {flags:?}; SQLite does so with {sqlite:?}",
                path.display()
            );
        }
    }
}
