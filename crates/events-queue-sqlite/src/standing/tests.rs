//! Claims that wait in the store, and what becomes of them.

use std::time::{Duration, Instant};

use events_core::{
    Backend as _, ChannelName, ErrorKind, EventId, NewEvent, Next, Pending, Result, Subscribe,
    block_on_until,
};
use events_queue::{Claim, Claimed, NewRow, QueueBackend, QueueStore as _};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{SqliteConfig, SqliteStore, open};

const PATIENCE: Duration = Duration::from_secs(30);
const READY: i64 = 10;
const LEASED: i64 = 13;

struct Opened {
    // Dropped first, so that nothing runs on a runtime that has ended.
    queue: QueueBackend<SqliteStore>,
    other: Connection,
    _runtime: Runtime,
    _folder: TempDir,
}

/// A queue in a file, and the connection of another program.
fn opened(lease: Duration) -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let mut config = SqliteConfig::file(&path);
    config.queue.lease = lease;
    let runtime = Runtime::new().unwrap();
    let queue = open(config, runtime.handle()).unwrap();
    queue.store().register(channel(), None).wait().unwrap();
    Opened {
        queue,
        other: Connection::open(&path).unwrap(),
        _runtime: runtime,
        _folder: folder,
    }
}

fn channel() -> ChannelName {
    ChannelName::new("orders").unwrap()
}

impl Opened {
    fn publish(&self, n: i32) -> Result<usize> {
        let row = NewRow {
            id: EventId::new(),
            keyed: false,
            parts: NewEvent::new("orders", n).into_parts(1024).unwrap(),
        };
        self.queue.store().insert(vec![row]).wait()
    }

    fn claim_later(&self) -> Pending<Claimed> {
        let claim = Claim {
            queue_id: 1,
            limit: 1,
            suspects: true,
            lease: Duration::from_secs(30),
            max_attempts: 20,
        };
        self.queue.store().claim_later(claim).unwrap()
    }

    /// Status and attempts of each row, as another program sees them.
    fn rows(&self) -> Vec<(i64, i64)> {
        let sql = "SELECT status, attempts FROM sqlspec_event_queue ORDER BY id";
        let mut statement = self.other.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(|row| row.unwrap()).collect()
    }

    fn commits(&self) -> u64 {
        let writer = self.queue.store().writer();
        let database = writer.shared().database.lock();
        database.as_ref().unwrap().log().unwrap().commits()
    }

    fn other_program(&self, sql: &str) {
        self.other.execute_batch(sql).unwrap();
    }
}

fn answer(claim: Pending<Claimed>) -> Result<Claimed> {
    block_on_until(claim, Some(Instant::now() + PATIENCE)).expect("the claim is answered")
}

fn is_answered(claim: &mut Pending<Claimed>) -> bool {
    block_on_until(claim, Some(Instant::now())).is_some()
}

fn payloads(claimed: &Claimed) -> Vec<&str> {
    claimed.rows.iter().map(|row| &*row.payload).collect()
}

#[test]
fn one_transaction_stores_an_event_and_leases_it_for_who_waits() {
    let opened = opened(PATIENCE);
    let claims = [opened.claim_later(), opened.claim_later()];
    let (before, asked) = (opened.commits(), Instant::now());
    opened.publish(1).unwrap();
    assert_eq!(opened.commits(), before + 1);
    assert_eq!(opened.rows(), [(LEASED, 1)]);
    let [first, mut second] = claims;
    let claimed = answer(first).unwrap();
    assert_eq!(payloads(&claimed), ["1"]);
    assert!(claimed.begun.unwrap() >= asked, "the lease runs from there");
    assert!(!is_answered(&mut second), "there was one event");
}

#[test]
fn the_one_that_waits_longest_is_served_first() {
    let opened = opened(PATIENCE);
    let claims = [(); 3].map(|()| opened.claim_later());
    for (n, claim) in claims.into_iter().enumerate() {
        opened.publish(i32::try_from(n).unwrap()).unwrap();
        assert_eq!(payloads(&answer(claim).unwrap()), [n.to_string()]);
    }
}

#[test]
fn a_claim_that_was_taken_back_takes_nothing() {
    let opened = opened(PATIENCE);
    drop(opened.claim_later());
    opened.publish(1).unwrap();
    assert_eq!(opened.rows(), [(READY, 0)]);
}

#[test]
fn what_nobody_took_is_given_back_without_an_attempt() {
    let opened = opened(PATIENCE);
    let claim = opened.claim_later();
    opened.publish(1).unwrap();
    assert_eq!(opened.rows(), [(LEASED, 1)]);
    drop(claim);
    // Given back before anything that is asked for afterwards.
    opened.publish(2).unwrap();
    assert_eq!(opened.rows(), [(READY, 0), (READY, 0)]);
}

/// Neither a publish that fails nor a claim that does takes the other with it.
#[test]
fn a_failure_leaves_the_claim_waiting_and_the_event_stored() {
    let opened = opened(PATIENCE);
    let mut claim = opened.claim_later();
    opened.other_program(
        "CREATE TRIGGER no_insert BEFORE INSERT ON sqlspec_event_queue
         BEGIN SELECT RAISE(ABORT, 'no'); END",
    );
    opened.publish(1).unwrap_err();
    assert!(!is_answered(&mut claim));
    opened.other_program(
        "DROP TRIGGER no_insert;
         CREATE TRIGGER no_claim BEFORE UPDATE ON sqlspec_event_queue
         BEGIN SELECT RAISE(ABORT, 'no'); END",
    );
    opened.publish(2).unwrap();
    assert!(!is_answered(&mut claim));
    assert_eq!(opened.rows(), [(READY, 0)]);
    opened.other_program("DROP TRIGGER no_claim");
    opened.publish(3).unwrap();
    assert_eq!(payloads(&answer(claim).unwrap()), ["2"]);
}

#[test]
fn a_close_answers_what_waits() {
    let opened = opened(PATIENCE);
    let claim = opened.claim_later();
    opened.queue.shutdown().wait().unwrap();
    assert_eq!(answer(claim).unwrap_err().kind(), ErrorKind::Closed);
    let late = opened.claim_later();
    assert_eq!(answer(late).unwrap_err().kind(), ErrorKind::Closed);
}

/// A thread that waits longer than a lease gets the event with its whole lease, from the same
/// transaction; after it has left the call nothing is taken for it.
#[test]
fn a_thread_that_waits_is_served_and_one_that_has_left_is_not() {
    let lease = Duration::from_secs(2);
    let opened = opened(lease);
    let mut events = opened
        .queue
        .subscribe(Subscribe::new(channel()))
        .wait()
        .unwrap();
    let soon = |time| Some(Instant::now() + time);
    let first = events.wait_next(soon(Duration::ZERO));
    assert!(matches!(first, Next::TimedOut), "{first:?}");
    let before = opened.commits();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| events.wait_next(soon(PATIENCE)));
        // Longer than half a lease, so that one that ran from the beginning of the wait is renewed.
        std::thread::sleep(lease * 3 / 4);
        opened.publish(1).unwrap();
        match waiting.join().unwrap() {
            Next::Event(message) => assert_eq!(message.unwrap().payload, 1),
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(opened.commits(), before + 1);
    let nothing = events.wait_next(soon(Duration::from_millis(20)));
    assert!(matches!(nothing, Next::TimedOut), "{nothing:?}");
    opened.publish(2).unwrap();
    assert_eq!(opened.rows()[1], (READY, 0));
}
