//! How much is claimed, and what was once given back or lost its holder.

use std::time::Duration;

use events_core::telemetry::Count;
use events_core::{Backend as _, PublishOptions, Verdict};
use events_queue::{QueueConfig, StoreVerdict};

use crate::*;

/// The first event is held until its lease has ended.
async fn lose_the_first(store: &ScriptedStore) {
    let other = start(store, calm());
    next(&mut subscribe(&other, 1).await).await;
    store.advance(Duration::from_secs(3600));
}

/// An event whose lease ended is claimed alone, and while it is handled its consumer claims
/// nothing else.
#[tokio::test]
async fn a_suspect_is_handled_alone() {
    let store = ScriptedStore::still();
    let backend = start(&store, calm());
    publish(&backend, 0..2).await;
    lose_the_first(&store).await;
    let mut stream = subscribe(&backend, 2).await;
    let suspect = next(&mut stream).await;
    assert_eq!((suspect.payload.clone(), suspect.attempts), (0.into(), 2));
    idle(&mut stream).await;
    let claims = store.claims().len();
    settle(
        &backend,
        &suspect,
        Verdict::Extend(Duration::from_secs(3600)),
    )
    .await
    .unwrap();
    idle(&mut stream).await;
    assert_eq!(store.claims().len(), claims, "it waits for the verdict");
    settle(&backend, &suspect, Verdict::Ack).await.unwrap();
    assert_eq!(next(&mut stream).await.payload, 1);
}

/// Its consumer waits no longer than its lease.
#[tokio::test]
async fn a_suspect_without_a_verdict_is_waited_for_until_its_lease_ends() {
    let store = ScriptedStore::still();
    let config = QueueConfig {
        lease: Duration::from_millis(100),
        ..calm()
    };
    let backend = start(&store, config);
    publish(&backend, 0..2).await;
    lose_the_first(&store).await;
    let mut stream = subscribe(&backend, 2).await;
    assert_eq!(next(&mut stream).await.attempts, 2);
    assert_eq!(next(&mut stream).await.payload, 1);
}

/// A suspect that is given back is a suspect again.
#[tokio::test]
async fn a_suspect_that_nobody_was_handed_is_given_back_as_one() {
    let store = ScriptedStore::still();
    let backend = start(&store, calm());
    publish(&backend, 0..2).await;
    lose_the_first(&store).await;
    let mut stream = subscribe(&backend, 1).await;
    let suspect = next(&mut stream).await;
    settle(&backend, &suspect, Verdict::Release).await.unwrap();
    let released = |suspect| StoreVerdict::Release { suspect };
    assert_eq!(store.settled().last().unwrap().verdict, released(true));
    let again = next(&mut stream).await;
    assert_eq!((again.event_id, again.attempts), (suspect.event_id, 2));
    settle(&backend, &again, Verdict::Ack).await.unwrap();
    let plain = next(&mut stream).await;
    settle(&backend, &plain, Verdict::Release).await.unwrap();
    assert_eq!(store.settled().last().unwrap().verdict, released(false));
}

/// The first batch is as large as what is handled at once; brisk ones double it.
#[tokio::test]
async fn claims_grow_while_events_are_handled_briskly() {
    let store = ScriptedStore::still();
    let backend = start(&store, calm());
    publish(&backend, 0..20).await;
    let mut stream = backend.subscribe(Subscribe::new(channel())).await.unwrap();
    for n in 0..7 {
        assert_eq!(next(&mut stream).await.payload, n);
    }
    let limits: Vec<_> = store.claims().iter().map(|claim| claim.limit).collect();
    assert_eq!(limits, [1, 2, 4]);
}

/// A claim that found less than it asked for says nothing of how brisk its events are handled.
#[tokio::test]
async fn a_claim_that_was_not_full_is_no_reason_to_ask_for_more() {
    let store = ScriptedStore::still();
    let backend = start(&store, calm());
    publish(&backend, 0..2).await;
    let mut stream = backend.subscribe(Subscribe::new(channel())).await.unwrap();
    for n in 0..2 {
        assert_eq!(next(&mut stream).await.payload, n);
    }
    idle(&mut stream).await;
    let limits: Vec<_> = store.claims().iter().map(|claim| claim.limit).collect();
    assert_eq!(limits, [1, 2, 2]);
}

/// What expired after its claim is not handed over, and is no failure.
#[tokio::test]
async fn what_expires_in_the_buffer_becomes_a_dead_letter() {
    let store = ScriptedStore::by(events_queue::Clock::system(), Duration::from_secs(60));
    let config = calm();
    let backend = start(&store, config.clone());
    let brief = PublishOptions::new().expires_in(Duration::from_millis(300));
    let events = [PublishOptions::new(), brief, PublishOptions::new()];
    let events = (0..)
        .zip(events)
        .map(|(n, how)| NewEvent::new("orders", n).options(how));
    backend.publish(events.collect()).await.unwrap();
    let mut stream = subscribe(&backend, 3).await;
    next(&mut stream).await;
    tokio::time::sleep(Duration::from_millis(350)).await; // so long it lives
    assert_eq!(next(&mut stream).await.payload, 2);
    assert_eq!(count(&config, Count::Expired), 1);
    assert_eq!(stats(&backend).await.dead, 1);
}

/// An event that lost its holder for the last time is counted among the dead.
#[tokio::test]
async fn claims_count_what_they_bury() {
    let store = ScriptedStore::still();
    let config = QueueConfig {
        max_attempts: 1,
        ..calm()
    };
    let backend = start(&store, config.clone());
    publish(&backend, 0..1).await;
    let mut stream = subscribe(&backend, 1).await;
    drop(next(&mut stream).await);
    store.advance(Duration::from_secs(3600));
    idle(&mut stream).await;
    assert_eq!(count(&config, Count::Dead), 1);
    assert_eq!(stats(&backend).await.dead, 1);
}
