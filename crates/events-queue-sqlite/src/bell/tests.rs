//! What can go wrong with a bell inside one process; across processes see the tests package.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use events_core::{Backend as _, BoxSubscription, ChannelName, EventMessage, NewEvent, Next};
use events_core::{Subscribe, TableName, Wakes as WakeMode};
use events_queue::QueueBackend;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::file::BellFile;
use super::page::{BYTES, HEADER, Slots};
use super::watch::{MakeWatch, Watch};
use crate::open::open_with;
use crate::{SqliteConfig, SqliteStore};

/// Longer than any test: what is found before it was not found by it.
const NEVER: Duration = Duration::from_secs(3600);
/// Far more than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A database file with its path, and no bell yet.
fn database() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    fs::write(&path, "").unwrap();
    (folder, path)
}

fn bell_of(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-events-bell");
    path.into()
}

fn open_bell(database: &Path) -> io::Result<BellFile> {
    BellFile::open(&bell_of(database), database)
}

#[test]
fn a_new_bell_has_the_mode_of_its_database_and_holds_nothing() {
    for mode in [0o600, 0o660, 0o644] {
        let (_folder, path) = database();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let bell = open_bell(&path).unwrap();
        let found = fs::metadata(bell_of(&path)).unwrap();
        assert_eq!(found.mode() & 0o777, mode);
        assert_eq!(found.len(), BYTES as u64);
        assert!(bell.page().unwrap().is_some());
    }
}

#[test]
fn what_is_no_bell_is_refused_and_not_touched() {
    let content = b"a file of somebody else, longer than the first line of a bell is";
    type Make = fn(&Path, &[u8]);
    let make: [(&str, Make); 5] = [
        ("a link", |bell, content| {
            let target = bell.with_extension("target");
            fs::write(&target, content).unwrap();
            symlink(target, bell).unwrap();
        }),
        ("another name", |bell, content| {
            let target = bell.with_extension("target");
            fs::write(&target, content).unwrap();
            fs::hard_link(target, bell).unwrap();
        }),
        ("another content", |bell, content| {
            fs::write(bell, content).unwrap();
        }),
        ("a folder", |bell, _| fs::create_dir(bell).unwrap()),
        ("a pipe", |bell, _| {
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, bell, rustix::fs::FileType::Fifo, mode, 0)
                .unwrap();
        }),
    ];
    for (what, make) in make {
        let (_folder, path) = database();
        make(&bell_of(&path), content);
        assert!(open_bell(&path).is_err(), "{what} was opened");
        for file in [bell_of(&path), bell_of(&path).with_extension("target")] {
            if file.is_file() {
                assert_eq!(fs::read(file).unwrap(), content, "{what} was written to");
            }
        }
    }
}

/// An empty file would be completed; under two names it may be somebody else's.
#[test]
fn a_file_with_another_name_is_refused_although_it_is_empty() {
    let (_folder, path) = database();
    let target = path.with_extension("target");
    fs::write(&target, "").unwrap();
    fs::hard_link(&target, bell_of(&path)).unwrap();
    assert!(open_bell(&path).is_err());
    assert_eq!(fs::read(target).unwrap(), b"", "it was written to");
}

/// Its maker may have died between two steps, and others write to it meanwhile.
#[test]
fn a_bell_that_was_not_completed_is_completed() {
    for begun in [&[][..], &[0; 20], HEADER] {
        let (_folder, path) = database();
        fs::write(bell_of(&path), begun).unwrap();
        let bell = open_bell(&path).unwrap();
        let before = bell.page().unwrap().expect("it is complete");
        let slot = Slots::new(&TableName::default()).channel(&ChannelName::new("orders").unwrap());
        bell.ring(slot, 7).unwrap();
        let again = open_bell(&path).unwrap().page().unwrap().unwrap();
        assert!(
            again.rung_since(&before).has(slot),
            "the ring was overwritten"
        );
    }
}

#[test]
fn a_bell_knows_its_path_and_no_listener_but_others() {
    let (_folder, path) = database();
    let bell = open_bell(&path).unwrap();
    assert!(bell.is_at(&bell_of(&path)));
    bell.announce().unwrap();
    assert!(!bell.has_other_listeners(), "this process is no other");
    fs::remove_file(bell_of(&path)).unwrap();
    assert!(!bell.is_at(&bell_of(&path)));
    let next = open_bell(&path).unwrap();
    assert!(next.is_at(&bell_of(&path)) && !bell.is_at(&bell_of(&path)));
}

#[test]
fn a_watch_notices_writes_deletion_and_an_overflow() {
    let (_folder, path) = database();
    let bell = open_bell(&path).unwrap();
    let watch = Watch::new(&bell_of(&path)).unwrap();
    bell.ring_nobody(1).unwrap();
    let seen = watch.take().unwrap();
    assert!(seen.written && !seen.moved && !seen.missed);
    fs::remove_file(bell_of(&path)).unwrap();
    assert!(
        watch.take().unwrap().moved,
        "it is open, and deleted all the same"
    );

    let bell = open_bell(&path).unwrap();
    let watch = Watch::new(&bell_of(&path)).unwrap();
    // Two kinds by turns, because equal notices in a row are one.
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    for n in 0..limit.trim().parse::<u64>().unwrap() {
        bell.ring_nobody(n).unwrap();
        fs::set_permissions(bell_of(&path), fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert!(watch.take().unwrap().missed);
}

/// A channel with a consumer that nothing but a wake ever wakes.
struct Consumer {
    runtime: Runtime,
    backend: QueueBackend<SqliteStore>,
    events: BoxSubscription,
    path: PathBuf,
    _folder: TempDir,
}

impl Consumer {
    fn new(make_watch: MakeWatch, change: impl FnOnce(&mut SqliteConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let mut config = SqliteConfig::file(&path);
        config.queue.poll_interval = NEVER;
        change(&mut config);
        let runtime = Runtime::new().unwrap();
        let backend = open_with(config, runtime.handle(), make_watch).unwrap();
        let request = Subscribe::new(ChannelName::new("orders").unwrap());
        let mut events = backend.subscribe(request).wait().unwrap();
        // It has looked once, and waits.
        let soon = std::time::Instant::now() + Duration::from_millis(20);
        assert!(matches!(events.wait_next(Some(soon)), Next::TimedOut));
        Self {
            runtime,
            backend,
            events,
            path,
            _folder: folder,
        }
    }

    fn next(&mut self) -> EventMessage {
        let deadline = std::time::Instant::now() + PATIENCE;
        match self.events.wait_next(Some(deadline)) {
            Next::Event(message) => message.unwrap(),
            other => panic!("no event within {PATIENCE:?}: {other:?}"),
        }
    }

    /// Commits as a program does that knows nothing of bells.
    fn foreign(&self, sql: &str) {
        Connection::open(&self.path)
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    }
}

const FOREIGN: &str =
    "INSERT INTO sqlspec_event_queue (queue_id, event_id, available_at, created_at, payload)
     SELECT queue_id, randomblob(16), 0, 0, '\"foreign\"' FROM sqlspec_event_queue_queue";
const FOREIGN_DELAYED: &str = "INSERT INTO sqlspec_event_queue (queue_id, event_id, status, available_at, created_at, payload)
     SELECT queue_id, randomblob(16), 11, (unixepoch('subsec') * 1000000) + 300000, 0, '\"later\"' FROM sqlspec_event_queue_queue";

fn no_watch(_: &Path) -> io::Result<Watch> {
    // What the kernel says when a user has as many watches as it may have.
    Err(io::Error::from_raw_os_error(24))
}

#[test]
fn a_commit_without_a_ring_is_found_by_the_floor() {
    let mut consumer = Consumer::new(Watch::new, |_| {});
    assert_eq!(consumer.backend.capabilities().wakes, WakeMode::Push);
    consumer.foreign(FOREIGN);
    assert_eq!(consumer.next().payload, "foreign");
    consumer.foreign(FOREIGN_DELAYED);
    assert_eq!(consumer.next().payload, "later");
}

#[test]
fn without_watches_the_floor_is_all_and_the_capabilities_say_so() {
    let mut consumer = Consumer::new(no_watch, |_| {});
    assert_eq!(consumer.backend.capabilities().wakes, WakeMode::InProcess);
    for _ in 0..3 {
        consumer.foreign(FOREIGN);
        assert_eq!(consumer.next().payload, "foreign");
    }
}

/// The floor of the consumer is out of reach, so it is the publisher that wakes it.
#[test]
fn channel_objects_of_one_process_wake_each_other_without_a_watch() {
    let mut consumer = Consumer::new(no_watch, |config| config.floor = NEVER);
    let config = SqliteConfig::file(&consumer.path);
    let other = open_with(config, consumer.runtime.handle(), no_watch).unwrap();
    for n in 0..20 {
        other
            .publish(vec![NewEvent::new("orders", n)])
            .wait()
            .unwrap();
        assert_eq!(consumer.next().payload, n);
    }
}

#[test]
fn a_bell_that_is_deleted_or_overwritten_is_made_again() {
    let consumer = Consumer::new(Watch::new, |_| {});
    let bell = bell_of(&consumer.path);
    let first = fs::metadata(&bell).unwrap().ino();
    let until = |what: &str, done: &dyn Fn() -> bool| {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !done() {
            assert!(std::time::Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(2)); // between two looks
        }
    };
    // Held open, so that its number is not given to the next file.
    let held = fs::File::open(&bell).unwrap();
    fs::remove_file(&bell).unwrap();
    until("it was not made again", &|| {
        fs::metadata(&bell).is_ok_and(|found| found.ino() != first && found.len() == BYTES as u64)
    });
    drop(held);
    fs::OpenOptions::new()
        .write(true)
        .open(&bell)
        .unwrap()
        .set_len(0)
        .unwrap();
    until("it was not completed", &|| {
        fs::read(&bell).is_ok_and(|bytes| bytes.len() == BYTES && bytes.starts_with(HEADER))
    });
}

#[test]
fn a_foreign_content_is_left_alone_and_the_floor_goes_on() {
    let mut consumer = Consumer::new(Watch::new, |_| {});
    let bell = bell_of(&consumer.path);
    let garbage = [b'x'; BYTES];
    fs::OpenOptions::new()
        .write(true)
        .open(&bell)
        .unwrap()
        .write_all_at(&garbage, 0)
        .unwrap();
    for _ in 0..3 {
        consumer.foreign(FOREIGN);
        assert_eq!(consumer.next().payload, "foreign");
    }
    assert_eq!(fs::read(&bell).unwrap(), garbage);
    let deadline = std::time::Instant::now() + PATIENCE;
    while consumer.backend.capabilities().wakes == WakeMode::Push {
        assert!(
            std::time::Instant::now() < deadline,
            "it still promises wakes"
        );
        std::thread::yield_now();
    }
}

/// Closing the channel ends the thread and its connection: SQLite then removes the log.
#[test]
fn shutdown_leaves_no_log_and_no_thread_behind() {
    let consumer = Consumer::new(Watch::new, |_| {});
    consumer.foreign(FOREIGN);
    let wal = consumer.path.with_extension("db-wal");
    assert!(wal.exists());
    consumer.backend.shutdown().wait().unwrap();
    assert!(!wal.exists(), "another connection was still open");
}
