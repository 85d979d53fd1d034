//! Publishing in a transaction of the caller's own.

use std::path::PathBuf;
use std::time::Duration;

use event_channels::sqlite::TransactionalPublish as _;
use event_channels::{ErrorKind, EventId, EventsConfig, NewEvent, PublishOptions, blocking};
use rusqlite::{Connection, TransactionBehavior};
use tempfile::TempDir;

/// A channel on a file, and a connection of the caller's to it.
struct Outbox {
    channel: blocking::EventChannel,
    connection: Connection,
    path: PathBuf,
    _folder: TempDir,
}

fn outbox() -> Outbox {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let config = EventsConfig::new(format!("sqlite:{}", path.display())).unwrap();
    let channel = blocking::EventChannel::open(config.max_payload_bytes(1000)).unwrap();
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("CREATE TABLE orders (id)")
        .unwrap();
    Outbox {
        channel,
        connection,
        path,
        _folder: folder,
    }
}

impl Outbox {
    fn ready(&self) -> u64 {
        self.channel.stats("orders").unwrap().total().ready
    }

    fn orders(&self) -> i64 {
        let count = "SELECT count(*) FROM orders";
        self.connection
            .query_row(count, [], |row| row.get(0))
            .unwrap()
    }
}

#[test]
fn the_event_is_there_if_and_only_if_the_order_is() {
    let mut outbox = outbox();
    for commit in [false, true] {
        let tx = outbox.connection.transaction().unwrap();
        tx.execute("INSERT INTO orders VALUES (1)", []).unwrap();
        let (_, bell) = outbox
            .channel
            .publish_in(&tx, NewEvent::new("orders", 1))
            .unwrap();
        if commit {
            tx.commit().unwrap();
        } else {
            tx.rollback().unwrap();
        }
        bell.ring();
        let expected = u64::from(commit);
        assert_eq!(
            (outbox.orders(), outbox.ready()),
            (i64::from(commit), expected)
        );
    }
    let mut events = outbox.channel.iter_events("orders").unwrap();
    assert_eq!(events.next().unwrap().unwrap().payload, 1);
}

#[test]
fn a_savepoint_takes_its_events_back() {
    let mut outbox = outbox();
    let channel = outbox.channel.clone();
    let mut tx = outbox.connection.transaction().unwrap();
    let (_, kept) = channel
        .publish_in(&tx, NewEvent::new("orders", "kept"))
        .unwrap();
    let savepoint = tx.savepoint().unwrap();
    let (_, lost) = channel
        .publish_in(&savepoint, NewEvent::new("orders", "lost"))
        .unwrap();
    drop(savepoint);
    drop(lost);
    tx.commit().unwrap();
    kept.ring();
    assert_eq!(outbox.ready(), 1);
}

/// The same rules as for every publish: groups, keys, delays, priorities, limits.
#[test]
fn the_rules_of_publish_hold() {
    let mut outbox = outbox();
    let channel = outbox.channel.clone();
    channel.subscribe_group("orders", "billing").unwrap();
    channel.subscribe_group("orders", "mail").unwrap();
    let id = EventId::new();
    let tx = outbox
        .connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    let keyed = || NewEvent::new("orders", 1).options(PublishOptions::new().event_id(id));
    let delayed =
        NewEvent::new("orders", 2).options(PublishOptions::new().delay(Duration::from_secs(60)));
    let (ids, bell) = channel
        .publish_many_in(&tx, [keyed(), keyed(), delayed])
        .unwrap();
    assert_eq!(ids[..2], [id, id]);
    let large = channel
        .publish_in(&tx, NewEvent::new("orders", "x".repeat(2000)))
        .unwrap_err();
    assert_eq!(large.kind(), ErrorKind::InvalidInput);
    let name = channel
        .publish_in(&tx, NewEvent::new("no name", 1))
        .unwrap_err();
    assert_eq!(name.kind(), ErrorKind::InvalidInput);
    tx.commit().unwrap();
    bell.ring();
    let stats = channel.stats("orders").unwrap().total();
    assert_eq!(
        (stats.ready, stats.delayed),
        (2, 2),
        "one of each for two groups"
    );
}

/// A call that fails half-way leaves nothing, and the transaction goes on.
#[test]
fn a_call_that_fails_leaves_nothing_of_itself() {
    let mut outbox = outbox();
    let refuse =
        "CREATE TRIGGER refuse BEFORE INSERT ON sqlspec_event_queue WHEN NEW.payload = '\"bad\"'
                  BEGIN SELECT RAISE(ABORT, 'no'); END";
    outbox.connection.execute_batch(refuse).unwrap();
    let channel = outbox.channel.clone();
    let tx = outbox.connection.transaction().unwrap();
    let (_, bell) = channel
        .publish_in(&tx, NewEvent::new("orders", "first"))
        .unwrap();
    let batch = ["good", "bad"].map(|payload| NewEvent::new("orders", payload));
    channel.publish_many_in(&tx, batch).unwrap_err();
    tx.execute("INSERT INTO orders VALUES (1)", []).unwrap();
    tx.commit().unwrap();
    bell.ring();
    assert_eq!((outbox.orders(), outbox.ready()), (1, 1));
}

#[test]
fn a_connection_whose_events_nobody_would_find_is_refused() {
    let outbox = outbox();
    let channel = outbox.channel.clone();
    let event = || NewEvent::new("orders", 1);
    let kind = |channel: &blocking::EventChannel, connection: &mut Connection| {
        let tx = connection.transaction().unwrap();
        channel.publish_in(&tx, event()).unwrap_err().kind()
    };

    let mut memory = Connection::open_in_memory().unwrap();
    let attach = format!("ATTACH '{}' AS events", outbox.path.display());
    memory.execute_batch(&attach).unwrap();
    assert_eq!(
        kind(&channel, &mut memory),
        ErrorKind::InvalidInput,
        "attached"
    );

    let mut other = Connection::open(outbox.path.with_extension("other")).unwrap();
    assert_eq!(
        kind(&channel, &mut other),
        ErrorKind::InvalidInput,
        "another file"
    );

    let mut ours = Connection::open(&outbox.path).unwrap();
    let tx = ours.transaction().unwrap();
    tx.execute_batch("COMMIT").unwrap();
    let over = channel.publish_in(&tx, event()).unwrap_err();
    assert_eq!(over.kind(), ErrorKind::InvalidInput, "{over}");
    drop(tx);

    let in_memory = blocking::EventChannel::open("sqlite::memory:").unwrap();
    assert_eq!(
        kind(&in_memory, &mut ours),
        ErrorKind::Unsupported,
        "in memory"
    );

    // A temporary table of the same name is not the queue.
    ours.execute_batch("CREATE TEMP TABLE sqlspec_event_queue (a)")
        .unwrap();
    let tx = ours.transaction().unwrap();
    channel.publish_in(&tx, event()).unwrap().1.ring();
    tx.commit().unwrap();
    assert_eq!(outbox.ready(), 1);

    ours.execute_batch("DROP TABLE main.sqlspec_event_queue_queue")
        .unwrap();
    assert_eq!(kind(&channel, &mut ours), ErrorKind::SchemaMissing);
}
