//! What operators do on PostgreSQL, and what it costs the others.

use std::time::Duration;

use event_channels::postgres::Pool;
use event_channels::postgres::deadpool_postgres::{Manager, Runtime};
use event_channels::postgres::tokio_postgres::NoTls;
use event_channels::{
    BackendKind, ErrorKind, EventChannel, EventsConfig, NewEvent, PublishOptions, Settled,
};
use events_testkit::postgres::{Database, database};
use events_testkit::{fails_with, next};

fn place(test: &str) -> Option<Database> {
    database().map_err(|missing| missing.skip(test)).ok()
}

fn config(database: &Database) -> EventsConfig {
    EventsConfig::new(database.url())
        .unwrap()
        .backend(BackendKind::PollQueue)
        .poll_interval(Duration::from_millis(50))
        .auto_migrate(true)
}

async fn open(database: &Database) -> EventChannel {
    config(database).open().await.unwrap()
}

/// Dead letters of two groups.
async fn dead(database: &Database, channel: &EventChannel, each: u32) {
    for group in ["a", "b"] {
        let _ = channel.subscribe_group("orders", group).await.unwrap();
    }
    database.query(&format!(
        "INSERT INTO sqlspec_event_queue_dead
                (queue_id, priority, attempts, lease_token, requeues, keyed, reason, created_at, event_id, payload)
         SELECT queue_id, 0, 1, 1, 0, false, 'rejected', now(), gen_random_uuid(), '1'
           FROM sqlspec_event_queue_queue, generate_series(1, {each})"
    ));
}

/// However many they are, no transaction holds more than a page of them.
#[tokio::test]
async fn all_dead_letters_are_requeued_and_purged_in_short_transactions() {
    let test = "all_dead_letters_are_requeued_and_purged_in_short_transactions";
    let Some(database) = place(test) else { return };
    let channel = open(&database).await;
    let orders = || "orders".try_into().unwrap();
    let admin = channel.admin().unwrap();
    let most = |table: &str, column: &str| {
        format!("SELECT max(n) FROM (SELECT count(*) AS n FROM {table} GROUP BY {column}) AS each")
    };
    dead(&database, &channel, 1500).await;
    assert_eq!(admin.dead_letters(orders(), 10).await.unwrap().len(), 10);
    assert_eq!(admin.requeue(orders(), None).await.unwrap(), 3000);
    let total = channel.stats("orders").await.unwrap().total();
    assert_eq!((total.ready, total.dead), (3000, 0));
    let rows = database.query(&most("sqlspec_event_queue", "xmin::text"));
    assert_eq!(rows[0][0].as_deref(), Some("1000"));

    dead(&database, &channel, 1500).await;
    // A trigger counts what each transaction deletes.
    database.query(
        "CREATE TABLE deleted (tx bigint DEFAULT txid_current());
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO deleted DEFAULT VALUES; RETURN OLD; END $$;
         CREATE TRIGGER note BEFORE DELETE ON sqlspec_event_queue_dead FOR EACH ROW EXECUTE FUNCTION note()",
    );
    assert_eq!(admin.purge_dead(orders(), None).await.unwrap(), 3000);
    let rows = database.query(&most("deleted", "tx"));
    assert_eq!(rows[0][0].as_deref(), Some("1000"));

    // By name: in every group, and those of other channels stay.
    dead(&database, &channel, 2).await;
    database.query(
        "UPDATE sqlspec_event_queue_dead SET event_id = '0190b3c8-0000-7000-8000-000000000001'",
    );
    let id = "0190b3c8-0000-7000-8000-000000000001".parse().unwrap();
    let other = "others".try_into().unwrap();
    assert_eq!(admin.purge_dead(other, Some(vec![id])).await.unwrap(), 0);
    assert_eq!(admin.requeue(orders(), Some(vec![id])).await.unwrap(), 4);
    assert_eq!(admin.purge_dead(orders(), Some(vec![id])).await.unwrap(), 0);
}

#[tokio::test]
async fn both_ends_of_the_priorities_are_stored_in_order_and_nothing_beyond() {
    let test = "both_ends_of_the_priorities_are_stored_in_order_and_nothing_beyond";
    let Some(database) = place(test) else { return };
    let channel = open(&database).await;
    let delay = Duration::from_millis(1);
    for priority in [i16::MIN, 0, i16::MAX] {
        let options = PublishOptions::new().priority(priority);
        let delayed = options.clone().delay(delay);
        channel
            .publish_with("orders", priority, options)
            .await
            .unwrap();
        channel
            .publish_with("later", priority, delayed)
            .await
            .unwrap();
        database.query(&format!(
            "SELECT sqlspec_event_queue_publish('orders', '{priority}', priority => {priority})"
        ));
    }
    database.query("SELECT pg_sleep(0.01)");
    let mut events = channel.iter_events("orders").await.unwrap();
    for expected in [i16::MAX, 0, i16::MIN] {
        for _ in 0..2 {
            let message = next(&mut events).await;
            assert_eq!(message.payload, expected);
            assert_eq!(channel.ack(&message).await.unwrap(), Settled::Recorded);
        }
    }
    let mut events = channel.iter_events("later").await.unwrap();
    for _ in 0..3 {
        let message = next(&mut events).await;
        assert_eq!(channel.ack(&message).await.unwrap(), Settled::Recorded);
    }
    for stored in [-32768, 32769] {
        for table in ["", "_delayed"] {
            let due = if table.is_empty() {
                "available_at"
            } else {
                "due_at"
            };
            let insert = format!(
                "INSERT INTO sqlspec_event_queue{table} (queue_id, {due}, priority, event_id, payload)
                 VALUES (1, now(), {stored}, gen_random_uuid(), '1')"
            );
            let refused = std::panic::catch_unwind(|| {
                events_testkit::postgres::query(database.url(), &insert)
            });
            assert!(refused.is_err(), "{insert}");
        }
    }
}

/// A database whose transactions are serializable by default, and the first statement of a publish
/// loses against another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defaults_of_the_database_change_nothing() {
    let Some(database) = place("defaults_of_the_database_change_nothing") else {
        return;
    };
    open(&database).await.shutdown().await.unwrap();
    database.query(
        "DO $$ BEGIN
             EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', current_database());
         END $$;
         CREATE SEQUENCE tries;
         CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF nextval('tries') <= 3 THEN
                 RAISE serialization_failure;
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER lose BEFORE INSERT ON sqlspec_event_queue FOR EACH ROW EXECUTE FUNCTION lose()",
    );
    let pool = pool_of(&database, 4, Duration::from_secs(60));
    let endpoint = event_channels::postgres::Endpoint::parse(database.url()).unwrap();
    let through_pool = EventsConfig::from_pool(pool, endpoint)
        .backend(BackendKind::PollQueue)
        .poll_interval(Duration::from_millis(50));
    for config in [config(&database), through_pool] {
        let channel = config.open().await.unwrap();
        channel.publish("orders", "first").await.unwrap();
        let publishers: Vec<_> = (0..4)
            .map(|_| {
                let channel = channel.clone();
                tokio::spawn(async move {
                    for n in 0..50 {
                        channel.publish("orders", n).await.unwrap();
                    }
                })
            })
            .collect();
        let consumers: Vec<_> = (0..2)
            .map(|_| {
                let channel = channel.clone();
                tokio::spawn(async move {
                    let mut events = channel.iter_events("orders").await.unwrap();
                    loop {
                        let message = next(&mut events).await;
                        let end = message.payload == "end";
                        channel.ack(&message).await.unwrap();
                        if end {
                            return;
                        }
                    }
                })
            })
            .collect();
        for publisher in publishers {
            publisher.await.unwrap();
        }
        let ends = [0, 1].map(|_| NewEvent::new("orders", "end"));
        for end in ends {
            channel.publish_many([end]).await.unwrap();
        }
        for consumer in consumers {
            consumer.await.unwrap();
        }
        channel.shutdown().await.unwrap();
        database.query("SELECT setval('tries', 1); DELETE FROM sqlspec_event_queue");
    }
}

fn pool_of(database: &Database, size: usize, wait: Duration) -> Pool {
    let manager = Manager::new(database.url().parse().unwrap(), NoTls);
    let pool = Pool::builder(manager)
        .max_size(size)
        .wait_timeout(Some(wait))
        .runtime(Runtime::Tokio1);
    pool.build().unwrap()
}

/// An application that uses all of its connections itself is told so, and loses nothing.
#[tokio::test]
async fn an_exhausted_pool_is_told_and_serves_again() {
    let Some(database) = place("an_exhausted_pool_is_told_and_serves_again") else {
        return;
    };
    open(&database).await.shutdown().await.unwrap();
    for backend in [BackendKind::PollQueue, BackendKind::NotifyQueue] {
        let pool = pool_of(&database, 1, Duration::from_millis(200));
        let endpoint = event_channels::postgres::Endpoint::parse(database.url()).unwrap();
        let config = EventsConfig::from_pool(pool.clone(), endpoint).backend(backend);
        let channel = config.open().await.unwrap();
        let used = pool.get().await.unwrap();
        let error = fails_with(channel.publish("orders", 1).await, ErrorKind::Busy);
        assert!(
            error.is_retryable() && error.to_string().contains("pool"),
            "{error}"
        );
        // What consumes has connections of its own.
        let mut events = channel.iter_events("orders").await.unwrap();
        drop(used);
        channel.publish("orders", 2).await.unwrap();
        let message = next(&mut events).await;
        assert_eq!(message.payload, 2);
        channel.ack(&message).await.unwrap();
        channel.shutdown().await.unwrap();
    }
}
