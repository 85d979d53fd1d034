//! Notifications on PostgreSQL as the documentation shows them.

use std::process::Command;
use std::time::Duration;

use event_channels::postgres::tokio_postgres::{self, NoTls};
use event_channels::postgres::{Endpoint, Pool, TransactionalPublish as _, deadpool_postgres};
use event_channels::{
    BackendKind, ErrorKind, EventChannel, EventMessage, Events, EventsConfig, NewEvent, Settled,
    blocking,
};
use events_testkit::postgres::{Database, Pooler, Server, ServerOptions, database};
use serde_json::json;

fn new_database(test: &str) -> Option<Database> {
    database().map_err(|missing| missing.skip(test)).ok()
}

/// The next event of a working server, however busy the machine is.
async fn next(events: &mut Events) -> EventMessage {
    let limit = Duration::from_secs(30);
    let item = tokio::time::timeout(limit, events.next()).await;
    item.expect("an event in time").unwrap().unwrap()
}

/// The database under the scheme that the example has.
fn postgresql(database: &Database) -> String {
    database.url().replacen("postgres://", "postgresql://", 1)
}

/// Publish first, iterate then: the channel hands over what it has published itself.
#[tokio::test]
#[expect(
    clippy::never_loop,
    reason = "the example leaves after the first event"
)]
async fn the_example_runs_as_it_is_written() {
    let Some(database) = new_database("the_example_runs_as_it_is_written") else {
        return;
    };
    let channel = EventChannel::open(postgresql(&database)).await.unwrap();
    assert_eq!(channel.backend_name(), "notify", "no migration is needed");

    let event_id = channel
        .publish("notifications", json!({"type": "native"}))
        .await
        .unwrap();
    let mut events = channel.iter_events("notifications").await.unwrap();
    while let Some(message) = events.next().await {
        let message = message.unwrap();
        assert_eq!(message.event_id, event_id);
        let settled = channel.ack(&message).await.unwrap();
        assert_eq!(settled, Settled::NothingToRecord);
        break;
    }
    channel.shutdown().await.unwrap();
}

#[test]
fn the_example_runs_in_blocking_code() {
    let Some(database) = new_database("the_example_runs_in_blocking_code") else {
        return;
    };
    let channel = blocking::EventChannel::open(postgresql(&database)).unwrap();
    let event_id = channel
        .publish("notifications", json!({"type": "native"}))
        .unwrap();
    let mut events = channel.iter_events("notifications").unwrap();
    let message = events.next().unwrap().unwrap();
    assert_eq!(message.event_id, event_id);
    channel.shutdown().unwrap();
}

#[tokio::test]
async fn an_event_of_a_transaction_is_sent_at_its_commit() {
    let Some(database) = new_database("an_event_of_a_transaction_is_sent_at_its_commit") else {
        return;
    };
    let channel = EventChannel::open(postgresql(&database)).await.unwrap();
    let mut events = channel.iter_events("orders").await.unwrap();
    let (mut client, connection) = tokio_postgres::connect(database.url(), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    for (payload, commit) in [("undone", false), ("done", true)] {
        let tx = client.transaction().await.unwrap();
        let event = NewEvent::new("orders", payload);
        let (_, wake) = channel.publish_in(&tx, event).await.unwrap();
        if commit {
            tx.commit().await.unwrap();
            wake.wake();
        } else {
            tx.rollback().await.unwrap();
        }
    }
    let message = next(&mut events).await;
    assert_eq!(message.payload, "done");
    channel.shutdown().await.unwrap();

    let sqlite = EventChannel::open("sqlite::memory:").await.unwrap();
    let tx = client.transaction().await.unwrap();
    let refused = sqlite.publish_in(&tx, NewEvent::new("orders", 1)).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_pool_of_the_application_is_used_and_stays_open() {
    let Some(database) = new_database("a_pool_of_the_application_is_used_and_stays_open") else {
        return;
    };
    let manager = deadpool_postgres::Manager::new(database.url().parse().unwrap(), NoTls);
    let pool = Pool::builder(manager).max_size(1).build().unwrap();
    let listen = Endpoint::parse(database.url()).unwrap();
    let channel = EventChannel::open(EventsConfig::from_pool(pool.clone(), listen))
        .await
        .unwrap();
    let mut events = channel.iter_events("orders").await.unwrap();
    channel.publish("orders", 1).await.unwrap();
    assert_eq!(next(&mut events).await.payload, 1);
    channel.shutdown().await.unwrap();
    assert_eq!(pool.status().size, 1);
    let client = pool.get().await.expect("it is not ours to close");
    client.execute("SELECT 1", &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn direct_url_leads_past_a_pooler() {
    let start = || {
        let server = Server::start(&ServerOptions::new())?;
        let pooler = Pooler::before(&server)?;
        Ok((server, pooler))
    };
    let (server, pooler) = match start() {
        Ok(both) => both,
        Err(missing) => return events_testkit::Missing::skip(&missing, "direct_url"),
    };
    let through = EventsConfig::new(pooler.url("postgres")).unwrap();
    let channel = through.clone().open().await.unwrap();
    let refused = channel.iter_events("orders").await.expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::NotConfigured, "{refused}");
    channel.shutdown().await.unwrap();

    let both = through.direct_url(server.url("postgres")).unwrap();
    let channel = both.open().await.unwrap();
    let mut events = channel.iter_events("orders").await.unwrap();
    channel.publish("orders", 1).await.unwrap();
    assert_eq!(next(&mut events).await.payload, 1);
    channel.shutdown().await.unwrap();
}

/// An order and its event in one transaction, as the examples write it, and by the SQL function.
#[test]
fn the_outbox_examples_run() {
    let Some(database) = new_database("the_outbox_examples_run") else {
        return;
    };
    let run = |program: &str| {
        let mut command = Command::new(program);
        let output = command.env("EVENTS_URL", database.url()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{program}: {text}{output:?}");
        text
    };
    let queue = run(env!("CARGO_BIN_EXE_events-test-outbox-queue"));
    assert_eq!(queue, "{\"order\":1}\n{\"order\":2}\n");
    let notify = run(env!("CARGO_BIN_EXE_events-test-outbox-notify"));
    assert_eq!(notify, "{\"id\":1,\"item\":\"book\"}\n");
}

/// Migrated, published, received and removed, by options alone.
#[tokio::test]
async fn an_event_that_no_notification_can_carry_goes_to_the_spill_table() {
    let test = "an_event_that_no_notification_can_carry_goes_to_the_spill_table";
    let Some(database) = new_database(test) else {
        return;
    };
    let config = EventsConfig::new(database.url())
        .unwrap()
        .backend(BackendKind::Notify)
        .spill_table("spilled");
    let missing = config.clone().open().await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::SchemaMissing, "{missing}");
    assert_eq!(config.migrate_up().await.unwrap(), ["ext_events_0001"]);
    let channel = config.clone().open().await.unwrap();
    let mut events = channel.iter_events("orders").await.unwrap();
    let large = "large ".repeat(2_000);
    channel.publish("orders", &large).await.unwrap();
    assert_eq!(next(&mut events).await.payload, large);
    channel.shutdown().await.unwrap();
    assert_eq!(config.migrate_down().await.unwrap(), ["ext_events_0001"]);

    let without = EventsConfig::new(database.url())
        .unwrap()
        .backend(BackendKind::Notify);
    assert!(without.migrate_up().await.unwrap().is_empty());
    let tables = database.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'");
    assert_eq!(tables[0][0].as_deref(), Some("1"), "the ledger alone");
}
