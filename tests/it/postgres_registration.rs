//! Who registers a channel on PostgreSQL, and who waits for that.

use std::thread::JoinHandle;
use std::time::Duration;

use event_channels::postgres::TransactionalPublish as _;
use event_channels::postgres::tokio_postgres::{self, Client, IsolationLevel, NoTls};
use event_channels::{BackendKind, ErrorKind, EventChannel, EventsConfig, NewEvent};
use events_testkit::postgres::{Database, database, query};
use events_testkit::{fails_with, next};

fn place(test: &str) -> Option<Database> {
    database().map_err(|missing| missing.skip(test)).ok()
}

async fn open(database: &Database) -> EventChannel {
    let config = EventsConfig::new(database.url())
        .unwrap()
        .backend(BackendKind::NotifyQueue)
        .poll_interval(Duration::from_millis(50))
        .auto_migrate(true);
    config.open().await.unwrap()
}

async fn connect(database: &Database) -> Client {
    let (client, connection) = tokio_postgres::connect(database.url(), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

fn groups(database: &Database, channel: &str) -> Vec<String> {
    let sql = format!(
        "SELECT consumer_group FROM sqlspec_event_queue_queue WHERE channel = '{channel}' ORDER BY 1"
    );
    let rows = database.query(&sql);
    rows.into_iter()
        .filter_map(|mut row| row.remove(0))
        .collect()
}

/// The transaction that published first has not ended: nobody waits for it, whatever it does then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_channel_in_a_transaction_holds_up_nobody() {
    let Some(database) = place("a_new_channel_in_a_transaction_holds_up_nobody") else {
        return;
    };
    let channel = open(&database).await;
    let mut client = connect(&database).await;
    for (name, commit) in [("kept", true), ("undone", false)] {
        let tx = client.transaction().await.unwrap();
        let event = NewEvent::new(name, "in the transaction");
        let (_, wake) = channel.publish_in(&tx, event).await.unwrap();
        channel.publish(name, "beside it").await.unwrap();
        if commit {
            tx.commit().await.unwrap();
            wake.wake();
        } else {
            tx.rollback().await.unwrap();
        }
        let ready = channel.stats(name).await.unwrap().total().ready;
        assert_eq!(ready, 1 + u64::from(commit), "{name}");
    }
    let mut events = channel.iter_events("kept").await.unwrap();
    let mut seen = [next(&mut events).await, next(&mut events).await].map(|m| m.payload);
    seen.sort_by_key(ToString::to_string);
    assert_eq!(seen, ["beside it", "in the transaction"]);
}

/// It sees no registration that came after its snapshot, and publishes all the same.
#[tokio::test]
async fn a_new_channel_in_a_transaction_with_an_old_snapshot() {
    let Some(database) = place("a_new_channel_in_a_transaction_with_an_old_snapshot") else {
        return;
    };
    let channel = open(&database).await;
    let mut client = connect(&database).await;
    for level in [IsolationLevel::RepeatableRead, IsolationLevel::Serializable] {
        let begin = client.build_transaction().isolation_level(level);
        let tx = begin.start().await.unwrap();
        tx.query("SELECT", &[]).await.unwrap();
        let name = format!("after_{level:?}");
        let events = (0..100).map(|n| NewEvent::new(&*name, n)).collect();
        let (ids, _wake) = channel.publish_many_in(&tx, events).await.unwrap();
        tx.commit().await.unwrap();
        let mut events = channel.iter_events(&name).await.unwrap();
        for id in ids {
            assert_eq!(next(&mut events).await.event_id, id);
        }
    }
}

/// A statement that another thread waits for.
fn begin(database: &Database, sql: String) -> JoinHandle<()> {
    let url = database.url().to_owned();
    std::thread::spawn(move || {
        query(&url, &sql);
    })
}

async fn until(database: &Database, sql: &str) {
    let begun = std::time::Instant::now();
    while database.query(sql)[0][0].as_deref() != Some("t") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{sql}");
        tokio::time::sleep(Duration::from_millis(5)).await; // the server is asked again
    }
}

const WAITS: &str = "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database AS d ON d.oid = database
    WHERE d.datname = current_database() AND locktype = 'advisory' AND objid = 42 AND NOT granted)";

/// Somebody's transaction registers a channel and goes on for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_registers_a_channel_keeps_only_that_one_waiting() {
    let test = "a_transaction_that_registers_a_channel_keeps_only_that_one_waiting";
    let Some(database) = place(test) else { return };
    let channel = open(&database).await;
    let mut gate = connect(&database).await;
    let gate = gate.transaction().await.unwrap();
    gate.query("SELECT pg_advisory_xact_lock(42)", &[])
        .await
        .unwrap();
    let slow = begin(
        &database,
        "BEGIN; SELECT sqlspec_event_queue_publish('held', '0'); SELECT pg_advisory_xact_lock(42); COMMIT".into(),
    );
    until(&database, WAITS).await;

    // Both publishes of one moment, which share a statement or not.
    let (held, free) = tokio::join!(channel.publish("held", 1), channel.publish("free", 1));
    let error = fails_with(held, ErrorKind::Busy);
    assert!(error.to_string().contains("channel held"), "{error}");
    assert!(error.is_retryable());
    free.unwrap();
    let mut client = connect(&database).await;
    let tx = client.transaction().await.unwrap();
    let refused = channel.publish_in(&tx, NewEvent::new("held", 1)).await;
    fails_with(refused, ErrorKind::Busy);
    // The transaction goes on.
    let (_, _wake) = channel
        .publish_in(&tx, NewEvent::new("free", 2))
        .await
        .unwrap();
    tx.commit().await.unwrap();

    gate.rollback().await.unwrap();
    slow.join().unwrap();
    channel.publish("held", 2).await.unwrap();
    assert_eq!(channel.stats("held").await.unwrap().total().ready, 2);
    assert_eq!(channel.stats("free").await.unwrap().total().ready, 2);
}

/// They wait for somebody's transaction, and what else the process does needs no more connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_that_wait_for_a_registration_keep_no_connection() {
    let test = "subscribers_that_wait_for_a_registration_keep_no_connection";
    let Some(database) = place(test) else { return };
    let _ = open(&database).await;
    let config = EventsConfig::new(database.url())
        .unwrap()
        .backend(BackendKind::PollQueue)
        .pool_size(2);
    let channel = config.open().await.unwrap();
    let mut holder = connect(&database).await;
    let registers = holder.transaction().await.unwrap();
    let publish = "SELECT sqlspec_event_queue_publish('held', '1')";
    registers.query(publish, &[]).await.unwrap();
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move { channel.iter_events("held").await })
        })
        .collect();
    for n in 0..20 {
        channel.publish("free", n).await.unwrap();
        let mut events = channel.iter_events("free").await.unwrap();
        channel.ack(&next(&mut events).await).await.unwrap();
    }
    assert!(waiting.iter().all(|one| !one.is_finished()));
    registers.commit().await.unwrap();
    let mut streams = Vec::new();
    for one in waiting {
        streams.push(one.await.unwrap().unwrap());
    }
    assert_eq!(groups(&database, "held"), ["-"]);
}

/// What the SQL function registered is there for the same transaction.
#[tokio::test]
async fn both_ways_to_publish_in_one_transaction() {
    let Some(database) = place("both_ways_to_publish_in_one_transaction") else {
        return;
    };
    let channel = open(&database).await;
    let mut client = connect(&database).await;
    let tx = client.transaction().await.unwrap();
    let publish = "SELECT sqlspec_event_queue_publish('orders', '1')";
    tx.query(publish, &[]).await.unwrap();
    let (_, _wake) = channel
        .publish_in(&tx, NewEvent::new("orders", 2))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(channel.stats("orders").await.unwrap().total().ready, 2);
}

/// A group registers in the moment of the first publish, however that is done: the default group is
/// there only if it came first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_being_registered_is_seen_by_the_first_publish() {
    let test = "a_group_that_is_being_registered_is_seen_by_the_first_publish";
    let Some(database) = place(test) else { return };
    let channel = open(&database).await;
    // Its registration stays open until the gate does.
    database.query(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END $$;
         CREATE TRIGGER wait BEFORE INSERT ON sqlspec_event_queue_queue
             FOR EACH ROW WHEN (NEW.consumer_group = 'audit') EXECUTE FUNCTION wait()",
    );
    let mut holder = connect(&database).await;
    let gate = holder.transaction().await.unwrap();
    gate.query("SELECT pg_advisory_xact_lock(42)", &[])
        .await
        .unwrap();
    let registering = {
        let channel = channel.clone();
        tokio::spawn(async move { channel.subscribe_group("orders", "audit").await })
    };
    until(&database, WAITS).await;
    let by_function = begin(
        &database,
        "SELECT sqlspec_event_queue_publish('orders', '1')".into(),
    );
    fails_with(channel.publish("orders", 2).await, ErrorKind::Busy);
    gate.rollback().await.unwrap();
    let _ = registering.await.unwrap().unwrap();
    by_function.join().unwrap();
    channel.publish("orders", 2).await.unwrap();
    assert_eq!(groups(&database, "orders"), ["audit"]);
    assert_eq!(channel.stats("orders").await.unwrap().total().ready, 2);
}

/// The same without a gate, by chance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_and_first_publishes_race_to_one_of_two_ends() {
    let test = "groups_and_first_publishes_race_to_one_of_two_ends";
    let Some(database) = place(test) else { return };
    let (one, other) = (open(&database).await, open(&database).await);
    for n in 0..100 {
        let name = format!("race_{n}");
        let (_, published) = tokio::join!(
            async { one.subscribe_group(&*name, "audit").await.unwrap() },
            async { other.publish(&*name, n).await }
        );
        if let Err(error) = published {
            assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
            other.publish(&*name, n).await.unwrap();
        }
    }
    let late = database.query(
        "SELECT count(*) FROM sqlspec_event_queue_queue AS d JOIN sqlspec_event_queue_queue AS g USING (channel)
          WHERE d.consumer_group = '-' AND g.consumer_group = 'audit' AND d.queue_id > g.queue_id",
    );
    assert_eq!(
        late[0][0].as_deref(),
        Some("0"),
        "registered behind a group"
    );
}
