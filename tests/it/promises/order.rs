//! Guarantee 10: first deliveries to one consumer follow priority, then the order of commits.

use std::cmp::Reverse;
use std::time::Duration;

use event_channels::sqlite::TransactionalPublish as _;
use event_channels::{EventsConfig, NewEvent, PublishOptions, blocking};
use events_testkit::next;
use rusqlite::{Connection, TransactionBehavior};

use super::place::Place;

const EVENTS: u64 = 300;

fn event(n: u64, priority: i16) -> NewEvent {
    NewEvent::new("orders", n).options(PublishOptions::new().priority(priority))
}

/// Three publishers in turn: two channels, one of them in batches, and transactions of a caller's.
/// All of it waits before the consumer comes.
#[test]
fn g10_what_waits_is_delivered_by_priority_and_then_as_it_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let url = format!("sqlite:{}", file.display());
    // What is acknowledged is deleted, so that row ids are used again in the second round.
    let config = EventsConfig::new(&*url).unwrap().retention(Duration::ZERO);
    let open = || blocking::EventChannel::open(config.clone()).unwrap();
    let [one, other, consumer] = [open(), open(), open()];
    let mut connection = Connection::open(&file).unwrap();
    let mut random = fastrand::Rng::with_seed(10);
    for round in 0..2 {
        let mut expected = Vec::new();
        let mut n = 0;
        while n < EVENTS {
            let count = random.u64(1..5);
            let batch: Vec<_> = (n..n + count).map(|n| (n, random.i16(-1..=1))).collect();
            n += count;
            expected.extend(batch.iter().copied());
            let events = batch.into_iter().map(|(n, priority)| event(n, priority));
            match random.u8(0..3) {
                0 => events.for_each(|event| {
                    let _ = one.publish_event(event).unwrap();
                }),
                1 => drop(other.publish_many(events).unwrap()),
                _ => {
                    let immediate = TransactionBehavior::Immediate;
                    let tx = connection.transaction_with_behavior(immediate).unwrap();
                    let (_, bell) = one.publish_many_in(&tx, events).unwrap();
                    tx.commit().unwrap();
                    bell.ring();
                }
            }
        }
        expected.sort_by_key(|(_, priority)| Reverse(*priority));
        let mut events = consumer.iter_events("orders").unwrap();
        for (place, (n, priority)) in expected.into_iter().enumerate() {
            let message = events.next().unwrap().unwrap();
            assert_eq!(
                message.payload, n,
                "round {round}: of priority {priority}, at place {place}"
            );
            let _ = consumer.ack(&message).unwrap();
        }
    }
}

/// The consumer is at work while two others publish: what each of them published comes in its order.
#[tokio::test(flavor = "multi_thread")]
async fn g10_a_consumer_at_work_sees_each_publisher_in_its_order() {
    let place = Place::new();
    let consumer = place.open();
    let mut events = consumer.iter_events("orders").await.unwrap();
    let publishers = [0, 1].map(|publisher| {
        let channel = place.open();
        tokio::spawn(async move {
            for n in 0..EVENTS {
                channel.publish("orders", [publisher, n]).await.unwrap();
            }
        })
    });
    let mut seen = [0, 0];
    for _ in 0..2 * EVENTS {
        let message = next(&mut events).await;
        let [publisher, n]: [u64; 2] = message.payload_as().unwrap();
        let expected = &mut seen[usize::try_from(publisher).unwrap()];
        assert_eq!(n, *expected, "of publisher {publisher}");
        *expected += 1;
        let _ = consumer.ack(&message).await.unwrap();
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
}
