//! Events that a notification cannot carry, kept in a table and fetched by who receives the mark.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, Pool};
use events_core::{
    Backend as _, BoxSubscription, ErrorKind, EventMessage, NewEvent, NotifyEnvelope, Op,
    PublishOptions, TableName,
};
use events_pg_native::tokio_postgres::{self, Client, Config, NoTls};
use events_pg_native::{
    Connector, Endpoint, NotifyConfig, Spill, TransactionalPublish as _, deadpool_postgres, migrate,
};
use events_testkit::postgres::Database;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::{config, database, item, next, open, subscribe, until, within};

fn table() -> TableName {
    TableName::new("Big_Events").unwrap()
}

async fn migrated(test: &str) -> Option<Database> {
    let database = database(test)?;
    let mut client = client(&database).await;
    assert_eq!(migrate::up(&mut client, &table()).await.unwrap().len(), 1);
    Some(database)
}

async fn client(database: &Database) -> events_pg_native::tokio_postgres::Client {
    let endpoint = Endpoint::parse(database.url()).unwrap();
    let connector = Connector::new(endpoint).await.unwrap();
    connector.client(Op::Migrate).await.unwrap()
}

fn spilling(database: &Database) -> NotifyConfig {
    let mut config = config(database.url());
    config.spill = Some(Spill {
        table: table(),
        retention: Duration::from_secs(3600),
    });
    config
}

fn rows(database: &Database) -> String {
    let rows = database.query(r#"SELECT count(*) FROM "Big_Events""#);
    rows[0][0].clone().unwrap()
}

fn large(number: usize) -> String {
    format!("{number:06}").repeat(3_000)
}

/// The payloads of the next events.
async fn payloads(events: &mut BoxSubscription, count: usize) -> Vec<serde_json::Value> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(next(events).await.payload);
    }
    all
}

#[tokio::test]
async fn large_and_small_events_arrive_intact_and_in_order() {
    let test = "large_and_small_events_arrive_intact_and_in_order";
    let Some(database) = migrated(test).await else {
        return;
    };
    let backend = open(spilling(&database)).await;
    assert_eq!(backend.capabilities().max_event_bytes, None);
    // Before the first subscription, and after it; alone and with others.
    let before = NewEvent::new("orders", large(0));
    let before = backend.publish(vec![before]).await.unwrap()[0];
    let mut events = subscribe(&backend, "orders").await;
    let mut others = subscribe(&backend, "orders").await;
    let first = next(&mut events).await;
    assert_eq!((first.event_id, first.payload), (before, json!(large(0))));
    let metadata = PublishOptions::new().metadata(json!({"Ключ": "значение"}));
    let batch = (1..40)
        .map(|number| match number % 3 {
            0 => NewEvent::new("orders", number),
            _ => NewEvent::new("orders", large(number)).options(metadata.clone()),
        })
        .collect();
    let ids = backend.publish(batch).await.unwrap();
    let expected: Vec<_> = (1..40)
        .map(|number| match number % 3 {
            0 => json!(number),
            _ => json!(large(number)),
        })
        .collect();
    for events in [&mut events, &mut others] {
        let message: EventMessage = next(events).await;
        assert_eq!(message.event_id, ids[0]);
        assert_eq!(message.metadata.unwrap()["Ключ"], "значение");
        assert_eq!(payloads(events, 38).await, expected[1..]);
    }
    assert_eq!(rows(&database), "27", "what fits is not stored");
    backend.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_is_undone_stores_nothing() {
    let test = "a_transaction_that_is_undone_stores_nothing";
    let Some(database) = migrated(test).await else {
        return;
    };
    let backend = open(spilling(&database)).await;
    let mut events = subscribe(&backend, "orders").await;
    let mut client = client(&database).await;
    for commit in [false, true] {
        let tx = client.transaction().await.unwrap();
        let event = NewEvent::new("orders", large(usize::from(commit)));
        let (_, wake) = backend.publish_in(&tx, event).await.unwrap();
        if commit {
            tx.commit().await.unwrap();
            wake.wake();
        } else {
            tx.rollback().await.unwrap();
        }
    }
    assert_eq!(next(&mut events).await.payload, large(1));
    assert_eq!(rows(&database), "1");
    backend.shutdown().await.unwrap();
}

/// Who has no table is told where the event is, as other programs are.
#[tokio::test]
async fn who_does_not_spill_sees_the_mark() {
    let Some(database) = migrated("who_does_not_spill_sees_the_mark").await else {
        return;
    };
    let backend = open(spilling(&database)).await;
    let plain = open(config(database.url())).await;
    let mut events = subscribe(&plain, "orders").await;
    let id = backend
        .publish(vec![NewEvent::new("orders", large(1))])
        .await
        .unwrap()[0];
    let message = next(&mut events).await;
    assert_eq!(message.event_id, id);
    assert_eq!(message.payload["spilled"]["table"], "Big_Events");
    assert!(message.payload["spilled"]["bytes"].as_u64().unwrap() > 18_000);
    plain.shutdown().await.unwrap();
    backend.shutdown().await.unwrap();
}

/// A row that was removed before it was fetched is an event that the consumer missed.
#[tokio::test]
async fn an_event_that_is_gone_is_told_as_missed_and_the_stream_goes_on() {
    let test = "an_event_that_is_gone_is_told_as_missed_and_the_stream_goes_on";
    let Some(database) = migrated(test).await else {
        return;
    };
    let backend = open(spilling(&database)).await;
    let mut events = subscribe(&backend, "orders").await;
    let now = events_core::Timestamp::now();
    let mark = NotifyEnvelope::encode_spilled(events_core::EventId::new(), "x", 1, now);
    database.query(&format!("NOTIFY orders, '{mark}'"));
    let error = item(&mut events).await.unwrap_err();
    assert_eq!(error.as_lagged(), Some(1), "{error}");
    let after = NewEvent::new("orders", large(2));
    backend.publish(vec![after]).await.unwrap();
    assert_eq!(next(&mut events).await.payload, large(2));
    backend.shutdown().await.unwrap();
}

/// Connects, but for the times that it is told to panic.
struct Tripping(Arc<AtomicUsize>);

impl Connect for Tripping {
    fn connect(
        &self,
        config: &Config,
    ) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        let take_one = |left: usize| left.checked_sub(1);
        let trips = self.0.fetch_update(SeqCst, SeqCst, take_one).is_ok();
        let config = config.clone();
        Box::pin(async move {
            assert!(!trips, "as the test wants it");
            let (client, connection) = config.connect(NoTls).await?;
            let driving = tokio::spawn(async move { drop(connection.await) });
            Ok((client, driving))
        })
    }
}

/// What panics here is a connector of the application: what it was to bring counts as missed, and
/// the next event is fetched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_panics_ends_no_later_one() {
    let Some(database) = migrated("a_fetch_that_panics_ends_no_later_one").await else {
        return;
    };
    let trips = Arc::new(AtomicUsize::new(0));
    let connect = Tripping(Arc::clone(&trips));
    let manager = Manager::from_connect(
        database.url().parse().unwrap(),
        connect,
        ManagerConfig::default(),
    );
    let pool = Pool::builder(manager).max_size(1).build().unwrap();
    let listen = Endpoint::parse(database.url()).unwrap();
    let mut config = NotifyConfig::from_pool(pool.clone(), listen);
    config.spill = spilling(&database).spill;
    let receiving = open(config).await;
    let sending = open(spilling(&database)).await;
    let mut events = subscribe(&receiving, "orders").await;
    // The pool has no connection left, and cannot make one.
    drop(Object::take(pool.get().await.unwrap()));
    trips.store(1, SeqCst);
    let send = async |number| {
        let event = NewEvent::new("orders", large(number));
        sending.publish(vec![event]).await.unwrap();
    };
    send(1).await;
    let error = item(&mut events).await.unwrap_err();
    assert_eq!(error.as_lagged(), Some(1), "{error}");
    send(2).await;
    assert_eq!(next(&mut events).await.payload, large(2));
    receiving.shutdown().await.unwrap();
    sending.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_rows_go_when_others_come() {
    let Some(database) = migrated("old_rows_go_when_others_come").await else {
        return;
    };
    database.query(
        r#"INSERT INTO "Big_Events" (event_id, envelope, stored_at)
           SELECT gen_random_uuid(), '{}', now() - interval '3601 s'
           FROM generate_series(1, 2500)"#,
    );
    let backend = open(spilling(&database)).await;
    backend
        .publish(vec![NewEvent::new("orders", large(1))])
        .await
        .unwrap();
    until("only the new one is left", || rows(&database) == "1").await;
    backend.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_table_is_made_and_removed_and_never_a_table_of_others() {
    let test = "the_table_is_made_and_removed_and_never_a_table_of_others";
    let Some(database) = database(test) else {
        return;
    };
    let runtime = tokio::runtime::Handle::current();
    let opened = events_pg_native::open(spilling(&database), &runtime);
    let error = within(opened).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMissing, "{error}");
    assert!(error.to_string().contains("events migrate"), "{error}");

    let mut client = client(&database).await;
    let (table, down) = (table(), events_migrations::Direction::Down);
    let up = events_migrations::Direction::Up;
    let sql = migrate::dry_run(&client, &table, up).await.unwrap();
    assert!(sql.contains(r#"CREATE TABLE "Big_Events""#), "{sql}");
    let before = events_core::Timestamp::now();
    for ids in [1, 0] {
        let done = migrate::up(&mut client, &table).await.unwrap();
        assert_eq!(done.len(), ids);
        let status = migrate::status(&client, &table).await.unwrap();
        assert_eq!(status[0].state, events_migrations::State::Applied);
        let applied = status[0].applied_at.expect("the ledger says when");
        // Far more than clocks are apart, and less than any mistake about units or zones.
        let apart = applied.duration_since(before).as_secs().abs();
        assert!(apart < 3_599, "{applied}");
    }
    database.query("DELETE FROM event_channels_migrations");
    let by_hand = migrate::status(&client, &table).await.unwrap();
    assert_eq!(by_hand[0].state, events_migrations::State::Applied);
    assert_eq!(by_hand[0].applied_at, None);
    assert_eq!(migrate::dry_run(&client, &table, up).await.unwrap(), "");
    let sql = migrate::dry_run(&client, &table, down).await.unwrap();
    assert!(
        sql.contains(r#"DROP TABLE IF EXISTS "Big_Events""#),
        "{sql}"
    );
    for ids in [1, 0] {
        let done = migrate::down(&mut client, &table).await.unwrap();
        assert_eq!(done.len(), ids);
    }
    let ledger = database.query("SELECT count(*) FROM event_channels_migrations");
    assert_eq!(ledger[0][0].as_deref(), Some("0"));

    database.query(r#"CREATE TABLE "Big_Events" (envelope text)"#);
    let refused = migrate::up(&mut client, &table).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidConfig, "{refused}");
    assert!(migrate::down(&mut client, &table).await.is_err());
    database.query(r#"SELECT envelope FROM "Big_Events""#);
}
