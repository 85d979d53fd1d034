//! Leases of what waits for its hand-over.

use std::time::Duration;

use events_core::{ErrorKind, Receipt, Verdict};
use events_queue::{QueueConfig, StoreVerdict};

use crate::*;

/// Short enough that a test sees its renewals.
fn brisk() -> QueueConfig {
    QueueConfig {
        lease: Duration::from_millis(60),
        ..calm()
    }
}

fn renewals(store: &ScriptedStore, id: EventId) -> usize {
    let renews = |what: &&events_queue::StoreSettlement| {
        what.event_id == id && what.verdict == StoreVerdict::Extend(Duration::from_millis(60))
    };
    store.settled().iter().filter(renews).count()
}

#[tokio::test]
async fn what_waits_in_the_buffer_is_renewed_and_what_was_handed_over_is_not() {
    let store = ScriptedStore::still();
    let backend = start(&store, brisk());
    let ids = publish(&backend, 0..3).await;
    let mut stream = subscribe(&backend, 3).await;
    next(&mut stream).await;
    let renewed = |n: usize, id| store.until("renewals", move |store| renewals(store, id) >= n);
    renewed(2, ids[1]).await;
    renewed(2, ids[2]).await;
    assert_eq!(renewals(&store, ids[0]), 0);
}

/// A claim is answered to a stream that nobody polls: what it brought is held all the same.
#[tokio::test]
async fn what_a_claim_brought_for_an_unpolled_stream_is_renewed() {
    let store = ScriptedStore::still();
    let backend = start(&store, brisk());
    let ids = publish(&backend, 0..2).await;
    let mut stream = subscribe(&backend, 2).await;
    store.hold_claims(true);
    idle(&mut stream).await;
    store.hold_claims(false);
    for id in &ids {
        store
            .until("two renewals", |store| renewals(store, *id) >= 2)
            .await;
    }
    let got = [next(&mut stream).await, next(&mut stream).await];
    assert_eq!(got.each_ref().map(|message| message.event_id), ids[..]);
    assert_eq!(store.claims().len(), 1);
}

/// What was not renewed because another claim overtook it is not handed over.
#[tokio::test]
async fn a_prefetched_event_that_was_lost_is_dropped() {
    let store = ScriptedStore::still();
    let backend = start(&store, brisk());
    publish(&backend, 0..2).await;
    let mut stream = subscribe(&backend, 2).await;
    let first = next(&mut stream).await;
    // Its neighbour goes back behind the back of its holder, and to another consumer.
    let Receipt::Held(token) = first.receipt() else {
        panic!("it is held");
    };
    assert_eq!(token.attempts, 1);
    store.advance(Duration::from_secs(1));
    let other = start(&store, calm());
    let mut others = subscribe(&other, 2).await;
    let taken = next(&mut others).await;
    assert_eq!((taken.event_id, taken.attempts), (first.event_id, 2));
    settle(&other, &taken, Verdict::Ack).await.unwrap();
    assert_eq!(next(&mut others).await.attempts, 2);
    store
        .until("a renewal of the neighbour", |store| {
            store
                .settled()
                .iter()
                .any(|what| matches!(what.verdict, StoreVerdict::Extend(_)))
        })
        .await;
    // Both are held by the other one now, so that the first finds nothing.
    let claims = store.claims().len();
    let waiting = tokio::spawn(async move { stream.next().await });
    store
        .until("another claim", |store| store.claims().len() > claims)
        .await;
    waiting.abort();
}

/// The claim is answered late, the renewal at once: the end of the lease that the message tells is
/// not later than it is.
#[tokio::test]
async fn a_renewed_lease_is_never_told_later_than_it_ends() {
    let store = ScriptedStore::by(events_queue::Clock::system(), Duration::ZERO);
    let config = QueueConfig {
        lease: Duration::from_secs(1),
        ..calm()
    };
    let backend = start(&store, config);
    let ids = publish(&backend, 0..2).await;
    let mut stream = subscribe(&backend, 2).await;
    store.hold_claims(true);
    idle(&mut stream).await;
    tokio::time::sleep(Duration::from_millis(200)).await; // the answer takes so long
    store.hold_claims(false);
    next(&mut stream).await;
    store
        .until("a renewal", |store| store.renewed_until(ids[1]).is_some())
        .await;
    let second = next(&mut stream).await;
    let (told, is) = (
        second.lease_expires_at.unwrap(),
        store.renewed_until(ids[1]),
    );
    assert!(Some(told) <= is, "{told} is after {is:?}");
}

/// A renewal that fails is told, and tried again after a pause.
#[tokio::test]
async fn a_failed_claim_is_an_item_and_is_tried_again() {
    let store = ScriptedStore::still();
    let backend = start(&store, calm());
    publish(&backend, 0..1).await;
    let mut stream = subscribe(&backend, 1).await;
    store.fail_claims(&[ErrorKind::Unavailable, ErrorKind::Unavailable]);
    for _ in 0..2 {
        let error = try_next(&mut stream).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    assert_eq!(next(&mut stream).await.payload, 0);
    assert_eq!(store.claims().len(), 3);
}

/// An error that time does not cure ends the stream.
#[tokio::test]
async fn a_lasting_failure_is_the_last_item() {
    let store = ScriptedStore::still();
    let backend = start(&store, calm());
    for blocking in [false, true] {
        store.fail_claims(&[ErrorKind::Replaced]);
        let mut stream = subscribe(&backend, 1).await;
        if blocking {
            let ended = std::thread::spawn(move || {
                let first = stream.wait_next(None);
                (first, stream.wait_next(None))
            });
            let (first, second) = ended.join().unwrap();
            assert!(
                matches!(first, events_core::Next::Event(Err(_))),
                "{first:?}"
            );
            assert!(matches!(second, events_core::Next::Ended), "{second:?}");
        } else {
            assert!(stream.next().await.unwrap().is_err());
            assert!(stream.next().await.is_none());
        }
    }
}
