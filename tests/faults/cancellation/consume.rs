//! Consuming, dropped: what nobody was given is given back at once, with its attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use event_channels::{IterOptions, ListenOptions};
use events_testkit::{cancel_at, next};
use tokio::sync::mpsc;

use super::place::{Place, at_each_poll, places, try_at};

/// The events that a new consumer gets, with their attempts; it gives nothing back.
async fn rest(place: &Place, many: u64) -> Vec<(usize, u32)> {
    let mut events = place.events().await;
    let mut rest = Vec::new();
    for _ in 0..many {
        let message = next(&mut events).await;
        let n = message.payload.as_u64().unwrap();
        rest.push((usize::try_from(n).unwrap(), message.attempts));
        assert_eq!(
            place.channel.ack(&message).await.unwrap(),
            event_channels::Settled::Recorded
        );
    }
    rest
}

#[tokio::test]
async fn g11_iter_events() {
    for place in places().await {
        place.channel.publish("orders", 0).await.unwrap();
        let attempt = async |polls| {
            try_at(polls, place.channel.iter_events("orders"))
                .await
                .map(drop)
        };
        at_each_poll(attempt, async |polls, _| {
            let stats = place.settled().await;
            assert_eq!(
                (stats.ready, stats.leased),
                (1, 0),
                "{}, {polls} polls",
                place.what
            );
        })
        .await;
        assert_eq!(rest(&place, 1).await, [(0, 1)], "{}", place.what);
    }
}

/// `next` is dropped again and again, and the stream yields everything in order.
#[tokio::test]
async fn g11_next_of_a_stream_that_goes_on() {
    const EVENTS: usize = 40;
    for place in places().await {
        for n in 0..EVENTS {
            place.channel.publish("orders", n).await.unwrap();
        }
        for most in 1..=4 {
            let options = IterOptions::new().prefetch(4);
            let mut events = place
                .channel
                .iter_events_with("orders", options)
                .await
                .unwrap();
            let mut seen = 0;
            while seen < EVENTS / 4 {
                for polls in 0..=most {
                    if let Some(message) = cancel_at(polls, events.next()).await {
                        let message = message.unwrap().unwrap();
                        assert_eq!(
                            (message.payload, message.attempts),
                            (((most - 1) * EVENTS / 4 + seen).into(), 1)
                        );
                        place.channel.ack(message.event_id).await.unwrap();
                        seen += 1;
                    }
                    if seen == EVENTS / 4 {
                        break;
                    }
                    // On this runtime a task that never waits keeps its timers and wakes from running.
                    tokio::task::yield_now().await;
                }
            }
        }
        let stats = place.settled().await;
        assert_eq!(
            (stats.acked, stats.ready, stats.leased),
            (40, 0, 0),
            "{}",
            place.what
        );
    }
}

/// The stream is dropped with its `next`: only what was yielded stays held.
#[tokio::test]
async fn g11_next_together_with_its_stream() {
    for place in places().await {
        const EVENTS: u64 = 6;
        for n in 0..EVENTS {
            place.channel.publish("orders", n).await.unwrap();
        }
        let attempt = async |polls| {
            let options = IterOptions::new().prefetch(4);
            let mut events = place
                .channel
                .iter_events_with("orders", options)
                .await
                .unwrap();
            let next = cancel_at(polls, events.next()).await;
            next.map(|message| message.unwrap().unwrap())
        };
        at_each_poll(attempt, async |polls, yielded| {
            let stats = place.settled().await;
            let held = u64::from(yielded.is_some());
            let expected = (EVENTS - held, held);
            assert_eq!(
                (stats.ready, stats.leased),
                expected,
                "{}, {polls} polls",
                place.what
            );
            if let Some(message) = yielded {
                assert_eq!(
                    (message.payload, message.attempts),
                    (0.into(), 1),
                    "{}",
                    place.what
                );
            }
        })
        .await;
        let uncounted: Vec<_> = (1..6).map(|n| (n, 1)).collect();
        assert_eq!(rest(&place, EVENTS - 1).await, uncounted, "{}", place.what);
    }
}

#[tokio::test]
async fn g11_listen() {
    for place in places().await {
        place.channel.publish("orders", 0).await.unwrap();
        let handled = Arc::new(AtomicUsize::new(0));
        let attempt = async |polls| {
            let handled = Arc::clone(&handled);
            let handler = move |_| {
                handled.fetch_add(1, Ordering::SeqCst);
                async { Ok(()) }
            };
            let listen = place
                .channel
                .listen("orders", ListenOptions::new(), handler);
            try_at(polls, listen).await
        };
        at_each_poll(attempt, async |polls, listener| {
            let what = format!("{}, {polls} polls", place.what);
            match listener {
                // It was never made: nobody handles anything.
                None => {
                    let stats = place.settled().await;
                    assert_eq!((stats.ready, stats.leased), (1, 0), "{what}");
                    assert_eq!(handled.load(Ordering::SeqCst), 0, "{what}");
                }
                Some(listener) => {
                    listener.stop().await;
                    let stats = place.settled().await;
                    assert_eq!(stats.ready + stats.acked, 1, "{what}: {stats:?}");
                }
            }
        })
        .await;
    }
}

/// Asking to stop is not taken back by dropping the future.
#[tokio::test]
async fn g11_stop_and_stop_listener() {
    for place in places().await {
        for by_id in [false, true] {
            let attempt = async |polls| {
                let (sender, mut started) = mpsc::unbounded_channel();
                let handler = move |_| {
                    let _ = sender.send(());
                    async { Ok(()) }
                };
                let options = ListenOptions::new();
                let listener = place
                    .channel
                    .listen("orders", options, handler)
                    .await
                    .unwrap();
                place.channel.publish("orders", polls).await.unwrap();
                started.recv().await.unwrap();
                let stopped = if by_id {
                    let stop = place.channel.stop_listener(listener.id());
                    try_at(polls, stop).await.map(drop)
                } else {
                    cancel_at(polls, listener.stop()).await.map(drop)
                };
                if polls > 0 {
                    listener.ended().await;
                } else {
                    assert!(
                        listener.is_running(),
                        "a future that is not polled asks nothing"
                    );
                    listener.stop().await;
                }
                stopped
            };
            at_each_poll(attempt, async |polls, _| {
                let stats = place.settled().await;
                assert_eq!(
                    (stats.ready, stats.leased),
                    (0, 0),
                    "{}, {polls} polls",
                    place.what
                );
            })
            .await;
        }
    }
}
