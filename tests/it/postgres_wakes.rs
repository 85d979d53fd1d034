//! Wake-ups of `notify_queue`.
//!
//! Consumers here poll once a minute, and a test publishes when they have stopped to look by
//! themselves: then only a wake-up brings an event soon. Publisher and consumer are two channel
//! objects, which share nothing but the database, as two processes do.

mod place;
mod silence;

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_channels::postgres::tokio_postgres::NoTls;
use event_channels::postgres::{Endpoint, Pool, TransactionalPublish as _, deadpool_postgres};
use event_channels::{
    BackendKind, ChannelName, EventChannel, EventMessage, Events, EventsConfig, IterOptions,
    NewEvent, PublishOptions, RetryAfter,
};

use tokio::sync::Semaphore;

use self::place::{Consumer, NEVER, SOON, run};

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
            let (publisher, channel) = (place.open().await, place.open().await);
            let mut consumer = Consumer::of(&channel).await;
            place.until_told().await;
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
                let message = consumer.next(&format!("event {n}"), SOON).await;
                latencies.push(begun.elapsed());
                assert_eq!(message.payload, n);
            }
            latencies.sort_unstable();
            let (p50, p99) = (latencies[events / 2], latencies[events * 99 / 100]);
            writeln!(std::io::stdout(), "p50 {p50:?}, p99 {p99:?}").unwrap();
            publisher.shutdown().await.unwrap();
            channel.shutdown().await.unwrap();
            assert_eq!(place.waiting(), 0, "the row went with the consumer");
        },
    );
}

/// A row that says that somebody waits lasts for 30 s.
#[test]
fn who_waits_for_longer_than_a_row_lasts_is_still_woken() {
    run(
        "who_waits_for_longer_than_a_row_lasts_is_still_woken",
        async |place| {
            let (publisher, channel) = (place.open().await, place.open().await);
            let mut consumer = Consumer::of(&channel).await;
            place.until_told().await;
            tokio::time::sleep(Duration::from_secs(31)).await; // its first row is over
            place.until_told().await;
            publisher.publish("orders", 1).await.unwrap();
            consumer.next("an event after a long wait", SOON).await;
        },
    );
}

/// The first finds something each time it looks, and nothing of that reaches the second.
#[test]
fn a_second_consumer_is_woken_while_the_first_is_busy() {
    run(
        "a_second_consumer_is_woken_while_the_first_is_busy",
        async |place| {
            let (publisher, channel) = (place.open().await, place.open().await);
            let unheard = place.config().backend(BackendKind::PollQueue);
            let unheard = unheard.open().await.unwrap();
            let mut second = Consumer::of(&channel).await;
            place.until_told().await;
            // Each is there before the first consumer asks, and nobody is told of them.
            unheard.publish("orders", 0).await.unwrap();
            let gate = Arc::new(Semaphore::new(0));
            let mut first = Consumer::gated(&channel, &gate).await;
            for n in 1..5 {
                first.next("an event that it finds itself", SOON).await;
                unheard.publish("orders", n).await.unwrap();
                gate.add_permits(1);
            }
            first.end().await;
            publisher.publish("orders", "for the second").await.unwrap();
            loop {
                let message = second.next("an event while the other is busy", SOON).await;
                if message.payload == "for the second" {
                    break;
                }
            }
        },
    );
}

/// One process holds events, another one waits; what the first does with them wakes the second.
fn wakes_another_process(test: &str, events: &[&str], what: impl AsyncFnOnce(Holder)) {
    run(test, async |place| {
        let (first, second) = (place.open().await, place.open().await);
        let ahead = IterOptions::new().prefetch(10);
        let mut held = first.iter_events_with("orders", ahead).await.unwrap();
        let new = events.iter().map(|event| NewEvent::new("orders", *event));
        first.publish_many(new).await.unwrap();
        let message = match events {
            [] => None,
            _ => Some(events_testkit::next(&mut held).await),
        };
        let mut consumer = Consumer::of(&second).await;
        place.until_told().await;
        what(Holder {
            channel: first.clone(),
            held,
            message,
        })
        .await;
        consumer.next("what became claimable", SOON).await;
    });
}

struct Holder {
    channel: EventChannel,
    held: Events,
    message: Option<EventMessage>,
}

impl Holder {
    /// Gives the event that it was handed back.
    async fn nack(&self, retry: RetryAfter) {
        let message = self.message.as_ref().unwrap();
        self.channel.nack(message, retry).await.unwrap();
    }
}

#[test]
fn a_nack_wakes_another_process() {
    wakes_another_process("a_nack_wakes_another_process", &["held"], async |holder| {
        holder.nack(RetryAfter::Delay(Duration::ZERO)).await;
    });
}

#[test]
fn a_nack_with_a_delay_wakes_another_process() {
    let test = "a_nack_with_a_delay_wakes_another_process";
    wakes_another_process(test, &["held"], async |holder| {
        let later = RetryAfter::Delay(Duration::from_millis(30));
        holder.nack(later).await;
    });
}

/// Both were claimed, and one was never handed over.
#[test]
fn a_release_wakes_another_process() {
    let test = "a_release_wakes_another_process";
    wakes_another_process(test, &["held", "ahead"], async |holder| drop(holder.held));
}

#[test]
fn a_requeue_wakes_another_process() {
    let test = "a_requeue_wakes_another_process";
    wakes_another_process(test, &["held"], async |holder| {
        holder.nack(RetryAfter::Never).await;
        let orders = ChannelName::new("orders").unwrap();
        let admin = holder.channel.admin().unwrap();
        assert_eq!(admin.requeue(orders, None).await.unwrap(), 1);
    });
}

#[test]
fn a_delayed_event_wakes_another_process() {
    let test = "a_delayed_event_wakes_another_process";
    wakes_another_process(test, &[], async |holder| {
        let delay = PublishOptions::new().delay(Duration::from_millis(30));
        let published = holder.channel.publish_with("orders", "later", delay).await;
        published.unwrap();
    });
}

#[test]
fn a_commit_wakes_whoever_waits() {
    run("a_commit_wakes_whoever_waits", async |place| {
        let (publisher, channel) = (place.open().await, place.open().await);
        let mut client = place.driver().await;
        let mut consumer = Consumer::of(&channel).await;
        place.until_told().await;
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
        let message = consumer.next("what the commit tells of", SOON).await;
        assert_eq!((message.event_id, &message.payload), (id, &"told".into()));
    });
}

/// The transaction looked for those who wait before there was one, and commits afterwards. Here the
/// looks that follow the beginning of a wait are what finds the event.
#[test]
fn who_begins_to_wait_while_a_transaction_is_open_finds_its_event() {
    run(
        "who_begins_to_wait_while_a_transaction_is_open_finds_its_event",
        async |place| {
            let (publisher, channel) = (place.open().await, place.open().await);
            // The channel has a group, so the transaction that publishes registers none.
            drop(channel.iter_events("orders").await.unwrap());
            let mut client = place.driver().await;
            let tx = client.transaction().await.unwrap();
            let (_, wake) = publisher
                .publish_in(&tx, NewEvent::new("orders", 1))
                .await
                .unwrap();
            let mut consumer = Consumer::of(&channel).await;
            place.until_waiting().await;
            tx.commit().await.unwrap();
            drop(wake);
            consumer.next("an event that told nobody", SOON * 2).await;
        },
    );
}

#[test]
fn the_sql_function_wakes() {
    run("the_sql_function_wakes", async |place| {
        let channel = place.open().await;
        let mut consumer = Consumer::of(&channel).await;
        place.until_told().await;
        place
            .database
            .query("SELECT sqlspec_event_queue_publish('orders', '{\"id\": 1}')");
        consumer.next("the function", SOON).await;
    });
}

#[test]
fn a_trigger_wakes() {
    run("a_trigger_wakes", async |place| {
        let channel = place.open().await;
        let mut consumer = Consumer::of(&channel).await;
        place.database.query(include_str!(
            "../../crates/event-channels/examples/postgres_trigger.sql"
        ));
        place.until_told().await;
        place
            .database
            .query("INSERT INTO orders (customer, total) VALUES ('ann', 12.5)");
        let message = consumer.next("the trigger", SOON).await;
        assert_eq!(message.payload["customer"], "ann");
    });
}

#[test]
fn a_transaction_of_deadpool_publishes_and_rolls_back() {
    run(
        "a_transaction_of_deadpool_publishes_and_rolls_back",
        async |place| {
            let endpoint = Endpoint::parse(place.database.url()).unwrap();
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
            let mut consumer = Consumer::of(&channel).await;
            place.until_told().await;
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
            let message = consumer.next("the one that was committed", SOON).await;
            assert_eq!(message.payload, 1);
            // Through the pool of the application, whose sessions are left as they are.
            channel.publish("orders", 2).await.unwrap();
            let message = consumer.next("one through the pool", SOON).await;
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
