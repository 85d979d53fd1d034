//! Transactions on PostgreSQL that take their ids early and commit late, on a server where nothing
//! else happens: their events are found as soon as they are committed.

use std::time::Duration;

use event_channels::postgres::tokio_postgres::{self, Client, NoTls};
use event_channels::{BackendKind, EventChannel, Events, EventsConfig};
use events_testkit::postgres::{Server, ServerOptions, query};
use events_testkit::{next, nothing_within};

const POLL: Duration = Duration::from_millis(20);
/// Far less than the minute after which everything is looked at from its very begin.
const LIMIT: Duration = Duration::from_secs(20);

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn open(url: &str) -> EventChannel {
    let config = EventsConfig::new(url)
        .unwrap()
        .backend(BackendKind::PollQueue)
        .auto_migrate(true)
        .poll_interval(POLL);
    config.open().await.unwrap()
}

/// A consumer that has handled an event and waits for the next one.
async fn consumer(url: &str) -> (EventChannel, Events) {
    let channel = open(url).await;
    channel.publish("orders", "before").await.unwrap();
    let mut events = channel.iter_events("orders").await.unwrap();
    let message = next(&mut events).await;
    channel.ack(&message).await.unwrap();
    (channel, events)
}

async fn comes(events: &mut Events) {
    let message = tokio::time::timeout(LIMIT, next(events)).await;
    assert_eq!(message.expect("the event is not found").payload, "late");
}

fn server(test: &str) -> Option<Server> {
    // Its numbers of transactions move only when the test does something.
    let options = ServerOptions::new().setting("autovacuum = off");
    Server::start(&options)
        .map_err(|missing| missing.skip(test))
        .ok()
}

/// The transaction has the highest number of all and no other one ends, so no snapshot shows that
/// it runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_transaction_is_not_passed_where_nothing_else_happens() {
    let test = "an_open_transaction_is_not_passed_where_nothing_else_happens";
    let Some(server) = server(test) else { return };
    let url = server.database();
    let (_channel, mut events) = consumer(&url).await;
    let client = connect(&url).await;
    let publish = r#"BEGIN; SELECT sqlspec_event_queue_publish('orders', '"late"')"#;
    client.batch_execute(publish).await.unwrap();
    nothing_within(&mut events, POLL * 40).await;
    client.batch_execute("COMMIT").await.unwrap();
    comes(&mut events).await;
}

/// The trigger waits when the id has been taken and nothing was written yet; meanwhile other
/// transactions come and go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_is_not_passed_between_its_id_and_its_first_write() {
    let test = "an_insert_is_not_passed_between_its_id_and_its_first_write";
    let Some(server) = server(test) else { return };
    let url = server.database();
    let (_channel, mut events) = consumer(&url).await;
    // One of another process, which tells this one nothing.
    let publisher = open(&url).await;
    query(
        &url,
        "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NEW.payload::text = '\"late\"' THEN
                 PERFORM pg_advisory_lock_shared(42);
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER gate BEFORE INSERT ON sqlspec_event_queue FOR EACH ROW EXECUTE FUNCTION gate()",
    );
    let gate = connect(&url).await;
    gate.batch_execute("SELECT pg_advisory_lock(42)")
        .await
        .unwrap();
    let late = tokio::spawn(async move { publisher.publish("orders", "late").await });
    let waits = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    while gate.query(waits, &[]).await.unwrap().is_empty() {
        tokio::time::sleep(POLL).await; // the server is asked again
    }
    for _ in 0..20 {
        query(&url, "SELECT pg_current_xact_id()");
        nothing_within(&mut events, POLL * 2).await;
    }
    gate.batch_execute("SELECT pg_advisory_unlock(42)")
        .await
        .unwrap();
    comes(&mut events).await;
    late.await.unwrap().unwrap();
}
