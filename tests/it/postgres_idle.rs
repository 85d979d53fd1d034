//! What idle consumers of a queue on PostgreSQL cost, and what must not keep verdicts waiting.

use std::time::{Duration, Instant};

use event_channels::postgres::{TransactionalPublish as _, tokio_postgres};
use event_channels::{BackendKind, EventId, EventsConfig, NewEvent, PublishOptions, Settled};
use events_testkit::next;
use events_testkit::postgres::{Database, database};
use tokio_postgres::NoTls;

const LIMIT: Duration = Duration::from_secs(20);

fn run(test: &str, body: impl AsyncFnOnce(Database)) {
    match database() {
        Ok(database) => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
            .block_on(body(database)),
        Err(missing) => missing.skip(test),
    }
}

fn config(database: &Database) -> EventsConfig {
    EventsConfig::new(database.url())
        .unwrap()
        .backend(BackendKind::PollQueue)
        .auto_migrate(true)
}

fn count(database: &Database, sql: &str) -> i64 {
    let rows = database.query(sql);
    rows[0][0].as_deref().unwrap().parse().unwrap()
}

/// Its lease ends long after the test, and until then there is nothing to do.
#[test]
fn an_event_that_expires_while_it_is_held_keeps_nobody_busy() {
    run(
        "an_event_that_expires_while_it_is_held_keeps_nobody_busy",
        async |database| {
            let holder = config(&database).open().await.unwrap();
            let idle = config(&database).open().await.unwrap();
            let mut held = holder.iter_events("orders").await.unwrap();
            let soon = PublishOptions::new().expires_in(Duration::from_secs(1));
            holder.publish_with("orders", 1, soon).await.unwrap();
            let message = next(&mut held).await;
            let mut stream = idle.iter_events("orders").await.unwrap();
            let waits = tokio::spawn(async move { stream.next().await });
            let expired = "SELECT count(*) FROM sqlspec_event_queue WHERE expires_at < now()";
            let begun = Instant::now();
            while count(&database, expired) == 0 {
                assert!(begun.elapsed() < LIMIT, "it does not expire");
                tokio::time::sleep(Duration::from_millis(20)).await; // between two looks
            }
            let transactions = "SELECT xact_commit FROM pg_stat_database
                                 WHERE datname = current_database()";
            let before = count(&database, transactions);
            // The time in which idle consumers are counted; a loop would run hundreds a second.
            tokio::time::sleep(Duration::from_secs(4)).await;
            let done = count(&database, transactions) - before;
            assert!(done < 400, "{done} transactions for nothing");
            assert_eq!(holder.ack(&message).await.unwrap(), Settled::Recorded);
            waits.abort();
        },
    );
}

/// The key of an event is stored with it, and its verdict changes the key.
#[test]
fn a_repeat_in_an_open_transaction_keeps_no_verdict_waiting() {
    run(
        "a_repeat_in_an_open_transaction_keeps_no_verdict_waiting",
        async |database| {
            let channel = config(&database).open().await.unwrap();
            let (mut client, connection) = tokio_postgres::connect(database.url(), NoTls)
                .await
                .unwrap();
            tokio::spawn(connection);
            let mut events = channel.iter_events("orders").await.unwrap();
            for by_function in [false, true] {
                let id = EventId::new();
                let keyed = || PublishOptions::new().event_id(id);
                channel.publish_with("orders", 1, keyed()).await.unwrap();
                let message = next(&mut events).await;
                let tx = client.transaction().await.unwrap();
                if by_function {
                    let sql = format!(
                        "SELECT sqlspec_event_queue_publish('orders', '1', event_id => '{id}')"
                    );
                    tx.batch_execute(&sql).await.unwrap();
                } else {
                    let event = NewEvent::new("orders", 1).options(keyed());
                    let (again, _wake) = channel.publish_in(&tx, event).await.unwrap();
                    assert_eq!(again, id);
                }
                let settled = tokio::time::timeout(LIMIT, channel.ack(&message)).await;
                let settled = settled.expect("the verdict waits for the transaction");
                assert_eq!(settled.unwrap(), Settled::Recorded);
                tx.commit().await.unwrap();
            }
            let stored = "SELECT count(*) FROM sqlspec_event_queue";
            assert_eq!(count(&database, stored), 0, "a repeat stores nothing");
        },
    );
}

/// A verdict that met its row while another statement renews it would find that nobody holds it.
#[test]
fn a_renewal_beside_a_verdict_loses_no_hold() {
    run(
        "a_renewal_beside_a_verdict_loses_no_hold",
        async |database| {
            let channel = config(&database).open().await.unwrap();
            let mut events = channel.iter_events("orders").await.unwrap();
            let many = (0..500).map(|n| NewEvent::new("orders", n));
            channel.publish_many(many).await.unwrap();
            for _ in 0..500 {
                let message = next(&mut events).await;
                let renewal = channel.extend(&message, Duration::from_secs(60));
                let (renewed, acked) = tokio::join!(renewal, channel.ack(&message));
                assert_eq!(acked.unwrap(), Settled::Recorded);
                let renewed = renewed.unwrap();
                let told = [Settled::Recorded, Settled::AlreadyAcked].contains(&renewed);
                assert!(told, "{renewed:?}");
            }
        },
    );
}
