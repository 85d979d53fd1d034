//! Guarantee 11: what is dropped loses no event. Each future at each of its awaits is dropped in
//! `faults/cancellation`; here everything that can be dropped is, at once, again and again.

use std::collections::BTreeMap;

use event_channels::{EventChannel, IterOptions, ListenOptions};
use events_testkit::{cancel_at, next};
use tokio::task::yield_now;

use super::place::{LEASE, Place, stats};

const EVENTS: usize = 120;

/// Publishes, streams, messages, acks, listeners: dropped after a random number of polls.
async fn drop_at_random(channel: &EventChannel, random: &mut fastrand::Rng, n: usize) {
    let polls = random.usize(0..4);
    let publish = cancel_at(polls, channel.publish("orders", n)).await;
    if polls > 0 {
        // Work that was begun goes on; one that has no room yet has not begun, and there is room.
        drop(publish);
    } else {
        assert!(publish.is_none());
        channel.publish("orders", n).await.unwrap();
    }
    let options = IterOptions::new().prefetch(random.usize(1..5));
    let stream = channel.iter_events_with("orders", options);
    if let Some(stream) = cancel_at(random.usize(0..6), stream).await {
        let mut stream = stream.unwrap();
        for _ in 0..random.usize(0..4) {
            if let Some(message) = cancel_at(random.usize(0..6), stream.next()).await {
                let message = message.unwrap().unwrap();
                // The message is dropped too: it comes back when its lease ends.
                drop(cancel_at(random.usize(0..3), channel.extend(&message, LEASE)).await);
            }
            yield_now().await;
        }
    }
    if random.u8(0..8) == 0 {
        let options = ListenOptions::new().auto_ack(false).prefetch(2);
        let never = |_| std::future::pending();
        let listen = channel.listen("orders", options, never);
        if let Some(listener) = cancel_at(random.usize(0..6), listen).await {
            drop(listener.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g11_whatever_is_dropped_every_event_is_delivered() {
    let seed = events_testkit::seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let place = Place::new();
    let channel = place.open_with(|config| config.queue.max_attempts = 10_000);
    for n in 0..EVENTS {
        drop_at_random(&channel, &mut random, n).await;
    }
    // What listeners hold is given back with them, and what was dropped in the hand when its lease
    // ends.
    channel.shutdown().await.unwrap();
    place.clock.advance(2 * LEASE);

    let again = place.open();
    let mut events = again.iter_events("orders").await.unwrap();
    let mut seen = BTreeMap::new();
    while seen.len() < EVENTS {
        let message = next(&mut events).await;
        *seen.entry(message.payload.as_u64().unwrap()).or_insert(0) += 1;
        let _ = again.ack(&message).await.unwrap();
    }
    assert!(
        seen.values().all(|times| *times == 1),
        "seed {seed}: {seen:?}"
    );
    let left = stats(&again).await;
    assert_eq!(
        (
            left.acked,
            left.ready + left.leased + left.delayed + left.dead
        ),
        (EVENTS as u64, 0),
        "seed {seed}"
    );
}
