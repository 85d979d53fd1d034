//! Wake-ups of `notify_queue`.
//!
//! Consumers here poll once a minute, and nobody waits that long for an event. The looks that follow
//! the beginning of a wait, up to 4 s later, can stand in for a wake-up in some of them. Publisher and consumer are two channel objects, which share nothing but the
//! database, as two processes do.

use std::io::Write as _;
use std::time::{Duration, Instant};

use event_channels::postgres::{
    Pool, TransactionalPublish as _, deadpool_postgres, tokio_postgres,
};
use event_channels::{
    BackendKind, ChannelName, EventChannel, EventMessage, Events, EventsConfig, NewEvent,
    PublishOptions, RetryAfter,
};
use events_testkit::Missing;
use events_testkit::postgres::{Database, database};
use tokio_postgres::NoTls;

const NEVER: Duration = Duration::from_secs(60);
/// Far less than the poll interval, and enough for a busy machine.
const SOON: Duration = Duration::from_secs(20);

struct Place {
    database: Database,
}

impl Place {
    fn new() -> Result<Self, Missing> {
        Ok(Self {
            database: database()?,
        })
    }

    fn config(&self) -> EventsConfig {
        EventsConfig::new(self.database.url())
            .unwrap()
            .backend(BackendKind::NotifyQueue)
            .auto_migrate(true)
            .poll_interval(NEVER)
    }

    async fn open(&self) -> EventChannel {
        let channel = self.config().open().await.unwrap();
        assert_eq!(channel.backend_name(), "notify_queue");
        channel
    }

    /// How many processes wait now.
    fn waiting(&self) -> usize {
        let sql = "SELECT 1 FROM sqlspec_event_queue_waiter WHERE until > now()";
        self.database.query(sql).len()
    }

    /// Polls a consumer that has nothing to do, until it waits for a wake-up.
    async fn until_waiting(&self, events: &mut Events) {
        let begun = Instant::now();
        while self.waiting() == 0 {
            assert!(begun.elapsed() < SOON, "no consumer waits");
            let next = tokio::time::timeout(Duration::from_millis(20), events.next());
            assert!(next.await.is_err(), "there is nothing to consume");
        }
    }

    /// The same, until it does not look again by itself either: only a wake-up helps then.
    async fn until_told(&self, events: &mut Events) {
        let sql = "SELECT 1 FROM sqlspec_event_queue_waiter
                    WHERE until BETWEEN now() AND now() + interval '25 s'";
        let begun = Instant::now();
        while self.database.query(sql).is_empty() {
            assert!(begun.elapsed() < SOON, "no consumer waits");
            let next = tokio::time::timeout(Duration::from_millis(50), events.next());
            assert!(next.await.is_err(), "there is nothing to consume");
        }
    }

    async fn driver(&self) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(self.database.url(), NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        client
    }
}

async fn next(what: &str, events: &mut Events) -> EventMessage {
    match tokio::time::timeout(SOON, events.next()).await {
        Ok(Some(Ok(message))) => message,
        other => panic!("{what}: {other:?}"),
    }
}

fn run(test: &str, body: impl AsyncFnOnce(Place)) {
    match Place::new() {
        Ok(place) => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
            .block_on(body(place)),
        Err(missing) => missing.skip(test),
    }
}

/// Each event meets the consumer at another point of its way back to waiting.
#[test]
fn no_wake_is_lost_however_the_consumer_stands() {
    run(
        "no_wake_is_lost_however_the_consumer_stands",
        async |place| {
            let events = match std::env::var_os("EVENTS_TEST_LONG") {
                Some(_) => 10_000,
                None => 500,
            };
            let (publisher, consumer) = (place.open().await, place.open().await);
            let mut stream = consumer.iter_events("orders").await.unwrap();
            place.until_told(&mut stream).await;
            let mut random = fastrand::Rng::with_seed(7);
            let mut pauses = (0..events).map(|n| match n % 50 {
                // Now and then it has waited for a while.
                0 => Duration::from_millis(120),
                _ => Duration::from_micros(random.u64(0..3000)),
            });
            let mut latencies = Vec::new();
            for n in 0..events {
                tokio::time::sleep(pauses.next().unwrap()).await; // any point will do
                let begun = Instant::now();
                publisher.publish("orders", n).await.unwrap();
                let message = next(&format!("event {n}"), &mut stream).await;
                latencies.push(begun.elapsed());
                assert_eq!(message.payload, n);
                consumer.ack(&message).await.unwrap();
            }
            latencies.sort_unstable();
            let (p50, p99) = (latencies[events / 2], latencies[events * 99 / 100]);
            writeln!(std::io::stdout(), "p50 {p50:?}, p99 {p99:?}").unwrap();
            publisher.shutdown().await.unwrap();
            consumer.shutdown().await.unwrap();
            assert_eq!(place.waiting(), 0, "the row went with the consumer");
        },
    );
}

#[test]
fn whatever_makes_an_event_claimable_wakes_another_process() {
    run(
        "whatever_makes_an_event_claimable_wakes_another_process",
        async |place| {
            let (first, second) = (place.open().await, place.open().await);
            for what in [
                "a nack",
                "a nack with a delay",
                "a release",
                "a requeue",
                "a delay",
            ] {
                let mut held = first.iter_events("orders").await.unwrap();
                if what != "a delay" {
                    first.publish("orders", what).await.unwrap();
                }
                let message = match what {
                    "a delay" => None,
                    _ => Some(next(what, &mut held).await),
                };
                let mut stream = second.iter_events("orders").await.unwrap();
                place.until_told(&mut stream).await;
                match (what, &message) {
                    ("a nack", Some(message)) => {
                        let now = RetryAfter::Delay(Duration::ZERO);
                        drop(held);
                        first.nack(message, now).await.unwrap();
                    }
                    ("a nack with a delay", Some(message)) => {
                        let later = RetryAfter::Delay(Duration::from_millis(30));
                        drop(held);
                        first.nack(message, later).await.unwrap();
                    }
                    ("a release", _) => {
                        // Claimed and never handed over.
                        first.publish("orders", "another").await.unwrap();
                        drop(held);
                    }
                    ("a requeue", Some(message)) => {
                        drop(held);
                        first.nack(message, RetryAfter::Never).await.unwrap();
                        let orders = ChannelName::new("orders").unwrap();
                        let back = first.admin().unwrap().requeue(orders, None).await;
                        assert_eq!(back.unwrap(), 1);
                    }
                    _ => {
                        drop(held);
                        let delay = PublishOptions::new().delay(Duration::from_millis(30));
                        first.publish_with("orders", what, delay).await.unwrap();
                    }
                }
                let again = next(what, &mut stream).await;
                second.ack(&again).await.unwrap();
                if let ("a release", Some(message)) = (what, &message) {
                    first.ack(message).await.unwrap();
                }
            }
        },
    );
}

#[test]
fn a_commit_wakes_whoever_waits() {
    run("a_commit_wakes_whoever_waits", async |place| {
        let (publisher, consumer) = (place.open().await, place.open().await);
        let mut client = place.driver().await;
        let mut stream = consumer.iter_events("orders").await.unwrap();
        place.until_told(&mut stream).await;
        let tx = client.transaction().await.unwrap();
        let event = NewEvent::new("orders", "rolled back");
        let (_, wake) = publisher.publish_in(&tx, event).await.unwrap();
        tx.rollback().await.unwrap();
        wake.wake();
        let tx = client.transaction().await.unwrap();
        let event = NewEvent::new("orders", "told");
        let (id, wake) = publisher.publish_in(&tx, event).await.unwrap();
        // As if the process ended between the commit and the ring.
        drop(wake);
        tx.commit().await.unwrap();
        let message = next("an event that the commit tells of", &mut stream).await;
        assert_eq!((message.event_id, &message.payload), (id, &"told".into()));
        consumer.ack(&message).await.unwrap();
    });
}

/// The transaction looked for those who wait before there was one, and commits afterwards.
#[test]
fn who_begins_to_wait_while_a_transaction_is_open_finds_its_event() {
    run(
        "who_begins_to_wait_while_a_transaction_is_open_finds_its_event",
        async |place| {
            let (publisher, consumer) = (place.open().await, place.open().await);
            let mut stream = consumer.iter_events("orders").await.unwrap();
            let mut client = place.driver().await;
            let tx = client.transaction().await.unwrap();
            let (_, wake) = publisher
                .publish_in(&tx, NewEvent::new("orders", 1))
                .await
                .unwrap();
            place.until_waiting(&mut stream).await;
            tx.commit().await.unwrap();
            drop(wake);
            let message = next("an event that told nobody", &mut stream).await;
            consumer.ack(&message).await.unwrap();
        },
    );
}

#[test]
fn the_sql_function_wakes_and_so_does_a_trigger() {
    run(
        "the_sql_function_wakes_and_so_does_a_trigger",
        async |place| {
            let consumer = place.open().await;
            let mut stream = consumer.iter_events("orders").await.unwrap();
            place.until_told(&mut stream).await;
            place
                .database
                .query("SELECT sqlspec_event_queue_publish('orders', '{\"id\": 1}')");
            let message = next("the function", &mut stream).await;
            consumer.ack(&message).await.unwrap();
            place.database.query(include_str!(
                "../../crates/event-channels/examples/postgres_trigger.sql"
            ));
            place.until_waiting(&mut stream).await;
            place
                .database
                .query("INSERT INTO orders (customer, total) VALUES ('ann', 12.5)");
            let message = next("the trigger", &mut stream).await;
            assert_eq!(message.payload["customer"], "ann");
            consumer.ack(&message).await.unwrap();
        },
    );
}

/// What is published while nobody can be told is found as soon as somebody can again.
#[test]
fn a_listening_session_that_is_killed_costs_no_event() {
    run(
        "a_listening_session_that_is_killed_costs_no_event",
        async |place| {
            let (publisher, consumer) = (place.open().await, place.open().await);
            let mut stream = consumer.iter_events("orders").await.unwrap();
            for n in 0..10 {
                place.until_waiting(&mut stream).await;
                let killed = place.database.query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()
                    AND (query LIKE '%LISTEN%' OR query LIKE '%pg_listening_channels%')",
                );
                assert!(!killed.is_empty(), "nobody listens");
                publisher.publish("orders", n).await.unwrap();
                let message = next(&format!("event {n}"), &mut stream).await;
                assert_eq!(message.payload, n);
                consumer.ack(&message).await.unwrap();
                place
                    .database
                    .query("DELETE FROM sqlspec_event_queue_waiter");
            }
        },
    );
}

/// Where notifications cannot be sent the table is polled, and nobody says that it waits.
#[test]
fn without_notify_consumers_poll() {
    run("without_notify_consumers_poll", async |place| {
        let owner = place.open().await;
        place.database.query(
            "REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC;
             CREATE ROLE plain LOGIN;
             GRANT ALL ON ALL TABLES IN SCHEMA public TO plain;
             GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO plain",
        );
        let url = place.database.url().replace("//postgres@", "//plain@");
        let plain = |poll| {
            let url = url.clone();
            async move {
                EventsConfig::new(&url)
                    .unwrap()
                    .backend(BackendKind::NotifyQueue)
                    .poll_interval(poll)
                    .open()
                    .await
                    .unwrap()
            }
        };
        let consumer = plain(Duration::from_millis(50)).await;
        let mut stream = consumer.iter_events("orders").await.unwrap();
        for n in 0..10 {
            owner.publish("orders", n).await.unwrap();
            let message = next(&format!("event {n}"), &mut stream).await;
            consumer.ack(&message).await.unwrap();
        }
        assert_eq!(place.waiting(), 0);
        drop((owner, consumer));
        place.database.query("DROP OWNED BY plain; DROP ROLE plain");
    });
}

#[test]
fn a_transaction_of_deadpool_publishes_and_rolls_back() {
    run(
        "a_transaction_of_deadpool_publishes_and_rolls_back",
        async |place| {
            let endpoint = event_channels::postgres::Endpoint::parse(place.database.url()).unwrap();
            let manager =
                deadpool_postgres::Manager::new(place.database.url().parse().unwrap(), NoTls);
            let pool: Pool = Pool::builder(manager)
                .max_size(2)
                .runtime(deadpool_postgres::Runtime::Tokio1)
                .build()
                .unwrap();
            let channel = EventsConfig::from_pool(pool.clone(), endpoint)
                .backend(BackendKind::NotifyQueue)
                .auto_migrate(true)
                .poll_interval(NEVER)
                .open()
                .await
                .unwrap();
            let mut stream = channel.iter_events("orders").await.unwrap();
            place.until_waiting(&mut stream).await;
            let mut connection = pool.get().await.unwrap();
            for (n, commits) in [(0, false), (1, true)] {
                let tx = connection.transaction().await.unwrap();
                let events = vec![NewEvent::new("orders", n), NewEvent::new("mail", n)];
                let (ids, wake) = channel.publish_many_in(&tx, events).await.unwrap();
                assert_eq!(ids.len(), 2);
                match commits {
                    true => tx.commit().await.unwrap(),
                    false => tx.rollback().await.unwrap(),
                }
                wake.wake();
            }
            let message = next("the one that was committed", &mut stream).await;
            assert_eq!(message.payload, 1);
            channel.ack(&message).await.unwrap();
            // Through the pool of the application, whose sessions are left as they are.
            channel.publish("orders", 2).await.unwrap();
            let message = next("one through the pool", &mut stream).await;
            assert_eq!(message.payload, 2);
            let setting = connection
                .query_one("SHOW enable_seqscan", &[])
                .await
                .unwrap();
            assert_eq!(setting.get::<_, &str>(0), "on");
            channel.shutdown().await.unwrap();
            assert!(pool.get().await.is_ok(), "it is not ours to close");
        },
    );
}
