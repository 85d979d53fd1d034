//! The store with what other programs, other clocks and other holdings do to it.

use std::time::Duration;

use events_core::{
    Admin as _, Backend as _, ChannelName, EventId, EventMessage, GroupName, NewEvent, Next,
    PublishOptions, Subscribe, Timestamp,
};
use events_queue::{
    Claim, Clock, NewRow, Outcome, QueueBackend, QueueConfig, QueueStore as _, StoreSettlement,
    StoreVerdict,
};
use rusqlite::{Connection, params};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{SqliteConfig, SqliteStore, TransactionalPublish as _, open};

const PATIENCE: Duration = Duration::from_secs(30);
const LEASE: Duration = Duration::from_secs(30);

struct Opened {
    // Dropped first, so that nothing runs on a runtime that has ended.
    queue: QueueBackend<SqliteStore>,
    other: Connection,
    _runtime: Runtime,
    _folder: TempDir,
}

/// A queue in a file, and the connection of another program.
fn opened(change: impl FnOnce(&mut SqliteConfig)) -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let mut config = SqliteConfig::file(&path);
    change(&mut config);
    let runtime = Runtime::new().unwrap();
    let queue = open(config, runtime.handle()).unwrap();
    let other = Connection::open(&path).unwrap();
    Opened {
        queue,
        other,
        _runtime: runtime,
        _folder: folder,
    }
}

fn channel() -> ChannelName {
    ChannelName::new("orders").unwrap()
}

fn next(events: &mut dyn events_core::Subscription) -> EventMessage {
    match events.wait_next(Some(std::time::Instant::now() + PATIENCE)) {
        Next::Event(event) => event.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn row(n: i32) -> NewRow {
    NewRow {
        id: EventId::new(),
        keyed: false,
        parts: NewEvent::new("orders", n).into_parts(1024).unwrap(),
    }
}

fn claim(queue_id: i64, limit: usize) -> Claim {
    Claim {
        queue_id,
        limit,
        suspects: true,
        lease: LEASE,
        max_attempts: 20,
    }
}

/// Whatever another program stores, the events behind it are delivered, and it is to be seen.
#[test]
fn rows_of_another_program_hold_nobody_up() {
    let opened = opened(|_| {});
    let registered = opened
        .queue
        .store()
        .register(channel(), None)
        .wait()
        .unwrap();
    let mut id = 0_u8;
    let mut store = |column: &str, value: &dyn rusqlite::ToSql| {
        id += 1;
        let sql = format!(
            "INSERT INTO sqlspec_event_queue (queue_id, event_id, available_at, created_at, payload, {column})
             VALUES (?1, ?2, 0, 0, '1', ?3)"
        );
        let sql = match column {
            "payload" => sql
                .replace("payload, payload", "payload")
                .replace("'1', ?3", "?3"),
            "available_at" | "created_at" => sql
                .replace(&format!(", {column})"), ")")
                .replace("'1', ?3", "'1'")
                .replace(
                    "0, 0",
                    if column == "available_at" {
                        "?3, 0"
                    } else {
                        "0, ?3"
                    },
                ),
            _ => sql,
        };
        opened
            .other
            .execute(&sql, params![registered.queue_id, [id; 16], value])
            .unwrap();
    };
    let long = "x".repeat(21 * 1024 * 1024);
    store("priority", &40_000);
    store("priority", &-40_000);
    store("attempts", &-5);
    store("attempts", &(1_i64 << 40));
    store("attempts", &i64::MAX);
    store("lease_token", &i64::MAX);
    store("payload", &long);
    store("metadata", &long);
    // The long ones are no JSON.
    let unreadable = 4;
    store("available_at", &i64::MIN);
    store("created_at", &i64::MIN);
    store("created_at", &i64::MAX);
    store("expires_at", &i64::MIN);
    // Both of them wait for ever, and nobody waits with them.
    opened
        .other
        .execute_batch(
            "INSERT INTO sqlspec_event_queue (queue_id, event_id, status, available_at, created_at, payload, lease_expires_at)
             VALUES (1, zeroblob(16), 11, 9223372036854775807, 0, '1', 0), (1, zeroblob(16), 13, 0, 0, '1', -9223372036854775808)",
        )
        .unwrap();
    opened.queue.store().insert(vec![row(77)]).wait().unwrap();

    let mut events = opened
        .queue
        .subscribe(Subscribe::new(channel()))
        .wait()
        .unwrap();
    let mut delivered = Vec::new();
    while !delivered.contains(&serde_json::json!(77)) {
        let event = next(&mut *events);
        delivered.push(event.payload.clone());
        let verdict = events_core::Verdict::Ack;
        let settlement = events_core::Settlement {
            event_id: event.event_id,
            receipt: event.receipt(),
            verdict,
        };
        opened.queue.settle(vec![settlement]).wait().unwrap();
    }
    let letters = opened.queue.dead_letters(channel(), 100).wait().unwrap();
    let undecodable = letters
        .iter()
        .filter(|letter| letter.reason == "undecodable");
    assert_eq!(undecodable.count(), unreadable, "{letters:?}");
    assert!(letters.iter().any(|letter| letter.reason == "expired"));

    // Their numbers are in range now, so those that are JSON are delivered.
    let requeued = opened.queue.requeue(channel(), None).wait().unwrap();
    assert_eq!(requeued, letters.len() as u64);
    for _ in 0..unreadable - 2 {
        let _ = next(&mut *events);
    }
}

/// Names and texts of another program do not make a listing fail.
#[test]
fn foreign_names_and_texts_do_not_hide_the_rest() {
    let opened = opened(|_| {});
    let store = opened.queue.store();
    store.insert(vec![row(1)]).wait().unwrap();
    opened
        .other
        .execute_batch(
            "INSERT INTO sqlspec_event_queue_queue (channel, created_at) VALUES ('no channel!', 0);
             INSERT INTO sqlspec_event_queue_dead
                 (queue_id, event_id, priority, attempts, lease_token, keyed, requeues, reason, died_at, created_at, last_error, payload)
             VALUES (1, zeroblob(16), 0, -1, 0, 0, 0, CAST(x'ff' AS TEXT), -9223372036854775808, 0, CAST(x'ff' AS TEXT), CAST(x'ff' AS TEXT))",
        )
        .unwrap();
    let stats = opened.queue.stats(None).wait().unwrap();
    assert_eq!(stats.len(), 1, "{stats:?}");
    assert_eq!((stats[0].total().ready, stats[0].total().dead), (1, 1));
    let letters = opened.queue.dead_letters(channel(), 10).wait().unwrap();
    assert_eq!((letters.len(), letters[0].attempts), (1, 0));
}

/// The clock of the database, not that of the consumer's host, says whether an event has expired.
#[test]
fn expiry_and_leases_go_by_the_clock_of_the_database() {
    let then: Timestamp = "2000-01-01T00:00:00Z".parse().unwrap();
    let lease = Duration::from_millis(300);
    let opened = opened(|config| {
        config.clock = Clock::still(then);
        config.queue = QueueConfig {
            lease,
            prefetch: Some(2),
            ..QueueConfig::default()
        };
    });
    let publish = |n: i32| {
        let event = NewEvent::new("orders", n)
            .options(PublishOptions::new().expires_in(Duration::from_secs(10)));
        opened.queue.publish(vec![event]).wait().unwrap();
    };
    publish(1);
    publish(2);
    let mut events = opened
        .queue
        .subscribe(Subscribe::new(channel()))
        .wait()
        .unwrap();
    assert_eq!(next(&mut *events).payload, 1);
    // The other one waits in the buffer, where its lease is renewed.
    std::thread::sleep(lease);
    let second = next(&mut *events);
    assert_eq!(second.payload, 2);
    let until = second.lease_expires_at.unwrap();
    assert!(
        until >= then && until < then + Duration::from_secs(10),
        "{until}"
    );
}

/// A row id is used again after its row was deleted, the fence of a new row begins anew, and two
/// groups share the id of the event: the receipt of one group is none for the other.
#[test]
fn a_receipt_settles_nothing_of_another_group() {
    let opened = opened(|config| config.queue.retention = Duration::ZERO);
    let store = opened.queue.store();
    let groups = ["a", "b"].map(|name| {
        let group = GroupName::new(name).unwrap();
        let registered = store.register(channel(), Some(group)).wait().unwrap();
        registered.queue_id
    });
    store.insert(vec![row(1)]).wait().unwrap();
    let held = groups.map(|queue| {
        let claimed = store.claim(claim(queue, 1)).wait().unwrap();
        claimed.rows.into_iter().next().unwrap()
    });
    let [first, second] = &held;
    assert_eq!(first.event_id, second.event_id);
    // As if the row of the first group had been deleted, and its id given to the other's.
    let mut stale = first.token;
    stale.row = second.token.row;
    stale.fence = second.token.fence;
    for verdict in [
        StoreVerdict::Extend(LEASE),
        StoreVerdict::Release { suspect: false },
        StoreVerdict::Retry {
            after: Duration::ZERO,
            error: None,
        },
        StoreVerdict::Dead {
            reason: events_queue::DeadReason::Rejected,
            error: None,
        },
        StoreVerdict::Ack,
    ] {
        let settlement = StoreSettlement {
            token: stale,
            event_id: first.event_id,
            verdict,
        };
        let outcome = store.settle(vec![settlement.clone()]).wait().unwrap();
        assert_eq!(outcome, [Outcome::Gone], "{settlement:?}");
    }
    let own = StoreSettlement {
        token: second.token,
        event_id: second.event_id,
        verdict: StoreVerdict::Ack,
    };
    assert_eq!(store.settle(vec![own]).wait().unwrap(), [Outcome::Recorded]);
}

/// Many dead letters are put back in several transactions, all of them, and none twice.
#[test]
fn all_dead_letters_are_requeued_and_purged_in_short_transactions() {
    let opened = opened(|_| {});
    let store = opened.queue.store();
    store.register(channel(), None).wait().unwrap();
    let fill = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1201)
        INSERT INTO sqlspec_event_queue_dead
            (queue_id, event_id, priority, attempts, lease_token, keyed, requeues, reason, died_at, created_at, payload)
        SELECT 1, randomblob(16), 0, 1, 1, 0, 0, 'rejected', 0, 0, n FROM n";
    let commits = || -> i64 {
        let version = "PRAGMA data_version";
        opened
            .other
            .query_row(version, [], |row| row.get(0))
            .unwrap()
    };
    opened.other.execute_batch(fill).unwrap();
    let before = commits();
    assert_eq!(store.requeue(channel(), None).wait().unwrap(), 1201);
    assert!(commits() > before);
    let ready = |status: i64| -> i64 {
        let sql = "SELECT count(*) FROM sqlspec_event_queue WHERE status = ?1";
        opened
            .other
            .query_row(sql, [status], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(ready(10), 1201);
    opened.other.execute_batch(fill).unwrap();
    // Nobody waits for it, and it is done all the same.
    let mut purge = store.purge_dead(channel(), None);
    purge.start();
    drop(purge);
    let until = std::time::Instant::now() + PATIENCE;
    let dead = || -> i64 {
        let sql = "SELECT count(*) FROM sqlspec_event_queue_dead";
        opened.other.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    while dead() > 0 {
        assert!(std::time::Instant::now() < until, "{} are left", dead());
        std::thread::sleep(Duration::from_millis(5)); // between two looks
    }
}

/// Statistics do not wait for the writer, nor it for them.
#[test]
fn statistics_are_read_while_another_program_holds_the_write_lock() {
    let opened = opened(|_| {});
    opened.queue.store().insert(vec![row(1)]).wait().unwrap();
    opened.other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut blocked = opened.queue.store().insert(vec![row(2)]);
    blocked.start();
    let stats = opened.queue.stats(Some(channel())).wait().unwrap();
    assert_eq!(stats[0].total().ready, 1);
    opened.other.execute_batch("COMMIT").unwrap();
    blocked.wait().unwrap();
    opened.queue.shutdown().wait().unwrap();
    let late = opened.queue.stats(None).wait().unwrap_err();
    assert_eq!(late.kind(), events_core::ErrorKind::Closed);
}

/// A transaction that has not read yet waits for the write lock; one that had looked before could
/// not write any more after the other's commit.
#[test]
fn a_deferred_transaction_of_the_callers_waits_for_another_writer() {
    let opened = opened(|_| {});
    opened.queue.store().insert(vec![row(1)]).wait().unwrap();
    let mut own = Connection::open(opened.other.path().unwrap()).unwrap();
    own.busy_timeout(PATIENCE).unwrap();
    opened
        .other
        .execute_batch("BEGIN IMMEDIATE; DELETE FROM sqlspec_event_queue")
        .unwrap();
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let tx = own.transaction().unwrap();
            let published = opened.queue.publish_in(&tx, NewEvent::new("orders", 2));
            published.map(|_| tx.commit().unwrap())
        });
        // Time to look, if it does so before it has the lock.
        std::thread::sleep(Duration::from_millis(200));
        opened.other.execute_batch("COMMIT").unwrap();
        publishing.join().unwrap().unwrap();
    });
}
