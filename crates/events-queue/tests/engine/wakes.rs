//! Which consumer looks when, and how long an idle one waits.

use std::time::Duration;

use events_core::telemetry::Count;
use events_core::{Backend as _, Next, PublishOptions, Subscribe, Verdict};

use crate::*;

/// Of three idle consumers two are polled no more: what rings them must reach the third.
#[tokio::test]
async fn a_stream_that_nobody_polls_keeps_no_wake_to_itself() {
    let store = ScriptedStore::still();
    let backend = start(&store, calm());
    let mut left_alone = [subscribe(&backend, 1).await, subscribe(&backend, 1).await];
    for stream in &mut left_alone {
        idle(stream).await;
    }
    let mut polled = subscribe(&backend, 1).await;
    idle(&mut polled).await;
    for n in 0..3 {
        publish(&backend, n..n + 1).await;
        let message = next(&mut polled).await;
        assert_eq!(message.payload, n);
        settle(&backend, &message, Verdict::Ack).await.unwrap();
        idle(&mut polled).await;
    }
}

/// A blocking consumer that left its wait stands for all others that nobody asks any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_was_left_keeps_no_wake_to_itself() {
    let store = ScriptedStore::still();
    let backend = start(&store, calm());
    let mut left_alone = subscribe(&backend, 1).await;
    let mut polled = subscribe(&backend, 1).await;
    let left = std::thread::spawn(move || {
        let next = left_alone.wait_next(Some(std::time::Instant::now()));
        assert!(matches!(next, Next::TimedOut));
        left_alone
    });
    let left_alone = left.join().unwrap();
    idle(&mut polled).await;
    publish(&backend, 0..1).await;
    assert_eq!(next(&mut polled).await.payload, 0);
    drop(left_alone);
}

/// Of as many consumers as there were events published, each looks.
#[tokio::test]
async fn each_event_wakes_a_consumer() {
    let store = ScriptedStore::still();
    let backend = start(&store, calm());
    let mut streams = [subscribe(&backend, 2).await, subscribe(&backend, 2).await];
    for stream in &mut streams {
        idle(stream).await;
    }
    publish(&backend, 0..3).await;
    let [first, second] = &mut streams;
    assert_eq!(next(first).await.payload, 0);
    assert_eq!(next(second).await.payload, 2);
}

/// What a consumer takes from behind others leaves nobody waiting either.
#[tokio::test]
async fn a_claim_that_is_not_full_wakes_nobody() {
    let store = ScriptedStore::still();
    let backend = start(&store, calm());
    let mut streams = [subscribe(&backend, 5).await, subscribe(&backend, 5).await];
    for stream in &mut streams {
        idle(stream).await;
    }
    assert_eq!(store.claims().len(), 2);
    publish(&backend, 0..1).await;
    let [first, second] = &mut streams;
    assert_eq!(next(first).await.payload, 0);
    idle(second).await;
    assert_eq!(store.claims().len(), 3, "the second did not look");
}

/// The poll interval of the call wins, what is due sooner is looked for sooner, and waits that end
/// by time are told from those that a ring ends.
#[tokio::test]
async fn an_idle_consumer_looks_when_the_poll_interval_is_over() {
    let store = ScriptedStore::still();
    let config = calm();
    let backend = start(&store, config.clone());
    let mut request = Subscribe::new(channel());
    request.poll_interval = Some(Duration::from_millis(1));
    let mut stream = backend.subscribe(request).await.unwrap();
    let polling = tokio::spawn(async move { stream.next().await });
    store
        .until("three looks", |store| store.claims().len() >= 3)
        .await;
    polling.abort();
    let (woken, timed_out) = (Count::ListenerWakeup, Count::ListenerTimeout);
    assert_eq!(count(&config, woken), 0);
    assert!(count(&config, timed_out) >= 2);
}

#[tokio::test]
async fn a_delayed_event_is_looked_for_when_it_is_due() {
    let store = ScriptedStore::by(events_queue::Clock::system(), Duration::ZERO);
    let config = calm();
    let backend = start(&store, config.clone());
    let mut stream = subscribe(&backend, 1).await;
    let delayed = PublishOptions::new().delay(Duration::from_millis(50));
    let event = NewEvent::new("orders", 1).options(delayed);
    backend.publish(vec![event]).await.unwrap();
    assert_eq!(next(&mut stream).await.payload, 1);
    assert_eq!(
        count(&config, Count::ListenerTimeout),
        1,
        "one look too early"
    );
}

/// The same on a thread that blocks.
#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_thread_waits_for_what_is_due() {
    let store = ScriptedStore::by(events_queue::Clock::system(), Duration::ZERO);
    let config = calm();
    let backend = start(&store, config.clone());
    let mut stream = subscribe(&backend, 1).await;
    let delayed = PublishOptions::new().delay(Duration::from_millis(50));
    let event = NewEvent::new("orders", 1).options(delayed);
    backend.publish(vec![event]).await.unwrap();
    let got = std::thread::spawn(move || stream.wait_next(None));
    let Next::Event(Ok(message)) = got.join().unwrap() else {
        panic!("the delayed event comes");
    };
    assert_eq!(message.payload, 1);
    assert_eq!(count(&config, Count::ListenerTimeout), 1);
    assert_eq!(count(&config, Count::ListenerWakeup), 0);
}

/// A deadline that passes is told, and the wait goes on with the next call.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_a_blocking_wait_and_a_ring_before_it_too() {
    let store = ScriptedStore::still();
    let config = calm();
    let backend = start(&store, config.clone());
    let mut stream = subscribe(&backend, 1).await;
    let waits = std::thread::spawn(move || {
        let soon = std::time::Instant::now() + Duration::from_millis(20);
        let next = stream.wait_next(Some(soon));
        assert!(matches!(next, Next::TimedOut), "{next:?}");
        assert!(std::time::Instant::now() >= soon);
        stream
    });
    let mut stream = waits.join().unwrap();
    assert_eq!(store.claims().len(), 1);
    assert_eq!(
        count(&config, Count::ListenerTimeout),
        0,
        "its own wait goes on"
    );
    let waits = std::thread::spawn(move || {
        let late = std::time::Instant::now() + PATIENCE;
        (stream.wait_next(Some(late)), stream)
    });
    publish(&backend, 0..1).await;
    let (got, _stream) = waits.join().unwrap();
    assert!(matches!(got, Next::Event(Ok(_))), "{got:?}");
    assert_eq!(
        store.claims().len(),
        2,
        "it did not look before it was rung"
    );
    assert_eq!(count(&config, Count::ListenerWakeup), 1);
}

/// Where the store is sure to ring, a consumer that is idle looks ten times less often.
#[tokio::test]
async fn a_consumer_that_is_told_looks_less_often() {
    let store = ScriptedStore::still();
    store.tell();
    let backend = start(&store, calm());
    let mut request = Subscribe::new(channel());
    request.poll_interval = Some(Duration::from_millis(30));
    let mut stream = backend.subscribe(request).await.unwrap();
    let begun = std::time::Instant::now();
    let polling = tokio::spawn(async move { stream.next().await });
    store
        .until("a second look", |store| store.claims().len() >= 2)
        .await;
    polling.abort();
    assert!(begun.elapsed() >= Duration::from_millis(300));
}
