//! What becomes of verdicts, and what their callers are told.

use std::time::Duration;

use events_core::telemetry::Count;
use events_core::{Backend as _, ErrorKind, Receipt, RetryAfter, Settled, Verdict};
use events_queue::{DeadReason, QueueConfig, StoreVerdict};

use crate::*;

fn nack(retry: RetryAfter) -> Verdict {
    Verdict::Nack {
        retry,
        reason: Some("why".to_owned()),
    }
}

#[tokio::test]
async fn every_verdict_is_recorded_counted_and_repeated_without_harm() {
    let store = ScriptedStore::still();
    let config = calm();
    let backend = start(&store, config.clone());
    publish(&backend, 0..4).await;
    let mut stream = subscribe(&backend, 4).await;
    let mut got = Vec::new();
    for _ in 0..4 {
        got.push(next(&mut stream).await);
    }
    let first = [
        Verdict::Ack,
        nack(RetryAfter::Delay(Duration::from_secs(9))),
        nack(RetryAfter::Never),
        Verdict::Extend(Duration::from_secs(7)),
    ];
    for (message, verdict) in got.iter().zip(first) {
        let answer = settle(&backend, message, verdict).await.unwrap();
        assert_eq!(answer, Settled::Recorded);
    }
    let sent: Vec<_> = store
        .settled()
        .into_iter()
        .map(|what| what.verdict)
        .collect();
    let error = Some("why".to_owned());
    let expected = [
        StoreVerdict::Ack,
        StoreVerdict::Retry {
            after: Duration::from_secs(9),
            error: error.clone(),
        },
        StoreVerdict::Dead {
            reason: DeadReason::Rejected,
            error,
        },
        StoreVerdict::Extend(Duration::from_secs(7)),
    ];
    assert_eq!(sent, expected);
    let counts = [Count::Ack, Count::Nack, Count::Dead, Count::HoldLost];
    assert_eq!(counts.map(|each| count(&config, each)), [1, 2, 1, 0]);
    let again = [
        settle(&backend, &got[0], nack(RetryAfter::Policy)).await,
        settle(&backend, &got[1], Verdict::Ack).await,
        settle(&backend, &got[2], Verdict::Ack).await,
        settle(&backend, &got[3], Verdict::Ack).await,
        settle(&backend, &got[3], Verdict::Extend(Duration::from_secs(1))).await,
    ];
    let expected = [
        Settled::AlreadyAcked,
        Settled::AlreadyNacked,
        Settled::AlreadyNacked,
        Settled::Recorded,
        Settled::AlreadyAcked,
    ];
    assert_eq!(again.map(Result::unwrap), expected);
    let stats = stats(&backend).await;
    assert_eq!((stats.acked, stats.delayed, stats.dead), (2, 1, 1));
}

/// A release counts no attempt; the same consumer finds the event again.
#[tokio::test]
async fn a_release_counts_no_attempt() {
    let store = ScriptedStore::still();
    let backend = start(&store, calm());
    publish(&backend, 0..1).await;
    let mut stream = subscribe(&backend, 1).await;
    for _ in 0..3 {
        let message = next(&mut stream).await;
        assert_eq!(message.attempts, 1);
        let answer = settle(&backend, &message, Verdict::Release).await;
        assert_eq!(answer.unwrap(), Settled::Recorded);
    }
}

#[tokio::test]
async fn what_was_never_held_is_refused_in_its_place() {
    let store = ScriptedStore::still();
    let backend = start(&store, calm());
    publish(&backend, 0..2).await;
    let mut stream = subscribe(&backend, 2).await;
    let held = [next(&mut stream).await, next(&mut stream).await];
    let mut stranger = settlement(&held[0], Verdict::Ack);
    stranger.receipt = Receipt::Untracked;
    let only = backend.settle(vec![stranger.clone()]).await.unwrap();
    assert_eq!(only.len(), 1);
    let all = vec![
        settlement(&held[0], Verdict::Ack),
        stranger,
        settlement(&held[1], Verdict::Ack),
    ];
    let answers = backend.settle(all).await.unwrap();
    let kinds: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().map_err(|error| (error.kind(), error.op())))
        .collect();
    let refused = Err((ErrorKind::NotHeld, events_core::Op::Ack));
    let recorded = Ok(&Settled::Recorded);
    assert_eq!(kinds, [recorded, refused, recorded]);
}

/// Each operation is named by the error that refuses it.
#[tokio::test]
async fn an_overtaken_hold_is_told_by_the_name_of_its_verdict() {
    let store = ScriptedStore::still();
    let config = calm();
    let backend = start(&store, config.clone());
    publish(&backend, 0..1).await;
    let mut stream = subscribe(&backend, 1).await;
    let held = next(&mut stream).await;
    store.advance(Duration::from_secs(3600));
    let other = start(&store, calm());
    let taken = next(&mut subscribe(&other, 1).await).await;
    assert_eq!(taken.attempts, 2);
    let verdicts = [
        (Verdict::Ack, events_core::Op::Ack),
        (nack(RetryAfter::Policy), events_core::Op::Nack),
        (
            Verdict::Extend(Duration::from_secs(1)),
            events_core::Op::Extend,
        ),
        (Verdict::Release, events_core::Op::Nack),
    ];
    for (verdict, op) in verdicts {
        let error = settle(&backend, &held, verdict.clone()).await.unwrap_err();
        assert_eq!((error.kind(), error.op()), (ErrorKind::HoldLost, op));
        assert!(error.detail().unwrap().contains("was claimed again"));
        let mut stranger = settlement(&held, verdict);
        stranger.receipt = Receipt::Untracked;
        let refused = backend.settle(vec![stranger]).await.unwrap().pop().unwrap();
        assert_eq!(refused.unwrap_err().op(), op);
    }
    assert_eq!(count(&config, Count::HoldLost), 4);
    assert_eq!(
        settle(&other, &taken, Verdict::Ack).await.unwrap(),
        Settled::Recorded
    );
}

/// An extension settles nothing: who is overtaken after one is told so.
#[tokio::test]
async fn an_extended_hold_can_be_lost() {
    let store = ScriptedStore::still();
    let backend = start(&store, calm());
    publish(&backend, 0..1).await;
    let mut stream = subscribe(&backend, 1).await;
    let held = next(&mut stream).await;
    let longer = Verdict::Extend(Duration::from_secs(3600));
    let extended = settle(&backend, &held, longer).await;
    assert_eq!(extended.unwrap(), Settled::Recorded);
    store.advance(Duration::from_secs(3600));
    let other = start(&store, calm());
    next(&mut subscribe(&other, 1).await).await;
    let error = settle(&backend, &held, Verdict::Ack).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HoldLost);
}

/// An ack whose caller has gone fails: a later one is recorded, and if it comes too late it is not
/// told that the event was acknowledged.
#[tokio::test]
async fn an_ack_that_was_given_up_and_failed_is_not_taken_for_recorded() {
    for overtaken in [false, true] {
        let store = ScriptedStore::still();
        let backend = start(&store, calm());
        publish(&backend, 0..1).await;
        let mut stream = subscribe(&backend, 1).await;
        let message = next(&mut stream).await;
        store.fail_settlements(&[ErrorKind::Unavailable]);
        give_up_an_ack(&store, &backend, &message);
        store.hold_settlements(false);
        let other = start(&store, calm());
        if overtaken {
            store.advance(Duration::from_secs(3600));
            next(&mut subscribe(&other, 1).await).await;
        }
        let answer = settle(&backend, &message, Verdict::Ack).await;
        let answer = answer.map_err(|error| error.kind());
        if overtaken {
            assert_eq!(answer, Err(ErrorKind::HoldLost));
        } else {
            assert_eq!(answer, Ok(Settled::Recorded));
        }
    }
}

/// An ack whose caller has gone is recorded, and stands; also where it has deleted the row.
#[tokio::test]
async fn an_ack_that_was_given_up_and_recorded_stands() {
    for retention in [Duration::ZERO, Duration::from_secs(60)] {
        let store = ScriptedStore::by(events_queue::Clock::system(), retention);
        let backend = start(&store, calm());
        publish(&backend, 0..1).await;
        let mut stream = subscribe(&backend, 1).await;
        let message = next(&mut stream).await;
        give_up_an_ack(&store, &backend, &message);
        store.hold_settlements(false);
        for verdict in [nack(RetryAfter::Policy), Verdict::Ack] {
            let answer = settle(&backend, &message, verdict).await;
            assert_eq!(answer.unwrap(), Settled::AlreadyAcked);
        }
    }
}

/// While it is not known what became of an ack, nobody is told that it stands.
#[tokio::test]
async fn an_ack_that_was_given_up_and_is_not_answered_is_said_to_be_unknown() {
    let store = ScriptedStore::still();
    let backend = start(&store, calm());
    publish(&backend, 0..1).await;
    let mut stream = subscribe(&backend, 1).await;
    let message = next(&mut stream).await;
    store.fail_settlements(&[ErrorKind::Unavailable]);
    give_up_an_ack(&store, &backend, &message);
    let other = start(&store, calm());
    store.advance(Duration::from_secs(3600));
    next(&mut subscribe(&other, 1).await).await;
    store.answer_later_settlements();
    let error = settle(&backend, &message, Verdict::Ack).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HoldLost);
    assert!(
        error.detail().unwrap().contains("not waited for"),
        "{error}"
    );
}

/// The answer is held, and nobody waits for it.
fn give_up_an_ack(store: &ScriptedStore, backend: &Backend, message: &EventMessage) {
    store.hold_settlements(true);
    let mut ack = backend.settle(vec![settlement(message, Verdict::Ack)]);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(std::pin::Pin::new(&mut ack).poll(&mut cx).is_pending());
    drop(ack);
}

/// Nothing of a failed batch is taken for settled.
#[tokio::test]
async fn a_failed_batch_can_be_repeated() {
    let store = ScriptedStore::still();
    let backend = start(&store, calm());
    publish(&backend, 0..1).await;
    let mut stream = subscribe(&backend, 1).await;
    let message = next(&mut stream).await;
    store.fail_settlements(&[ErrorKind::Unavailable]);
    let failed = backend
        .settle(vec![settlement(&message, Verdict::Ack)])
        .await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Unavailable);
    store.advance(Duration::from_secs(3600));
    let other = start(&store, calm());
    next(&mut subscribe(&other, 1).await).await;
    let error = settle(&backend, &message, Verdict::Ack).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::HoldLost,
        "not already acknowledged"
    );
}

/// The row is deleted by its ack: only this process knows what became of it.
#[tokio::test]
async fn without_retention_a_second_verdict_is_answered_from_memory() {
    let clock = events_queue::Clock::still(events_core::Timestamp::UNIX_EPOCH);
    let store = ScriptedStore::by(clock, Duration::ZERO);
    let config = QueueConfig {
        retention: Duration::ZERO,
        ..calm()
    };
    let backend = start(&store, config);
    publish(&backend, 0..2).await;
    let mut stream = subscribe(&backend, 2).await;
    let (acked, dead) = (next(&mut stream).await, next(&mut stream).await);
    settle(&backend, &acked, Verdict::Ack).await.unwrap();
    settle(&backend, &dead, nack(RetryAfter::Never))
        .await
        .unwrap();
    let mut answers = Vec::new();
    for message in [&acked, &dead] {
        for verdict in [Verdict::Extend(Duration::from_secs(1)), Verdict::Ack] {
            answers.push(settle(&backend, message, verdict).await.unwrap());
        }
    }
    let (acked, nacked) = (Settled::AlreadyAcked, Settled::AlreadyNacked);
    assert_eq!(answers, [acked, acked, nacked, nacked]);
}

/// Verdicts that are waited for on a thread, or only started, are recorded and noted; where the ack
/// has deleted the row nobody else could tell.
#[tokio::test]
async fn a_verdict_that_is_waited_for_or_only_started_stands() {
    let store = ScriptedStore::by(events_queue::Clock::system(), Duration::ZERO);
    let backend = start(&store, calm());
    publish(&backend, 0..2).await;
    let mut stream = subscribe(&backend, 2).await;
    let (waited, started) = (next(&mut stream).await, next(&mut stream).await);
    let answers = backend.settle(vec![settlement(&waited, Verdict::Ack)]);
    let answers = answers.wait().unwrap();
    assert_eq!(answers.len(), 1);
    assert_eq!(*answers[0].as_ref().unwrap(), Settled::Recorded);
    backend
        .settle(vec![settlement(&started, Verdict::Ack)])
        .detach();
    for message in [&waited, &started] {
        let again = settle(&backend, message, Verdict::Ack).await;
        assert_eq!(again.unwrap(), Settled::AlreadyAcked);
    }
}

/// A later verdict that fails, or is not even asked for, takes nothing from the one that stands.
#[tokio::test]
async fn a_later_verdict_that_fails_leaves_the_first_one_standing() {
    let store = ScriptedStore::by(events_queue::Clock::system(), Duration::ZERO);
    let backend = start(&store, calm());
    publish(&backend, 0..1).await;
    let mut stream = subscribe(&backend, 1).await;
    let message = next(&mut stream).await;
    settle(&backend, &message, Verdict::Ack).await.unwrap();
    for later in [Verdict::Extend(Duration::from_secs(1)), Verdict::Ack] {
        store.fail_settlements(&[ErrorKind::Unavailable]);
        let failed = backend.settle(vec![settlement(&message, later.clone())]);
        assert_eq!(failed.await.unwrap_err().kind(), ErrorKind::Unavailable);
        let again = settle(&backend, &message, Verdict::Ack).await;
        assert_eq!(again.unwrap(), Settled::AlreadyAcked, "after {later:?}");
        drop(backend.settle(vec![settlement(&message, later.clone())]));
        let again = settle(&backend, &message, Verdict::Ack).await;
        assert_eq!(again.unwrap(), Settled::AlreadyAcked, "after {later:?}");
    }
}
