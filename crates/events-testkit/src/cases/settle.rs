//! Ack, nack, extend: what is recorded, and what the answer says.

use std::time::Duration;

use event_channels::{
    ErrorKind, EventId, EventMessage, HandlerError, ListenOptions, Result, RetryAfter, Settled,
};
use tokio::sync::mpsc;

use crate::{Harness, Outcome, fails_with, next, nothing_within, pass};

const LEASE: Duration = Duration::from_millis(200);

/// 7: a nacked event is ready again.
pub async fn nack_brings_it_back(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    let id = channel.publish("orders", 1).await?;
    let mut events = channel.iter_events("orders").await?;
    let first = next(&mut events).await;
    assert_eq!(
        channel
            .nack(&first, RetryAfter::Delay(Duration::ZERO))
            .await?,
        Settled::Recorded
    );
    let second = next(&mut events).await;
    assert_eq!((second.event_id, second.attempts), (id, 2));
    assert_eq!(second.created_at, first.created_at);
    pass()
}

/// 4, 90: attempts are counted at the claim: 1 at the first delivery, 2 after a nack.
pub async fn attempts_count_claims(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    channel.publish("orders", 1).await?;
    let mut events = channel.iter_events("orders").await?;
    for attempt in 1..=5 {
        let message = next(&mut events).await;
        assert_eq!(message.attempts, attempt);
        let _ = channel
            .nack(&message, RetryAfter::Delay(Duration::ZERO))
            .await?;
    }
    pass()
}

/// D13: a second verdict is told what the first was, by message and by id.
pub async fn an_ack_is_recorded_once(harness: Harness) -> Result<Outcome> {
    for retention in [Duration::ZERO, Duration::from_secs(60)] {
        let channel = harness.open(|c| c.retention(retention)).await?;
        let id = channel.publish("orders", 1).await?;
        let mut events = channel.iter_events("orders").await?;
        let message = next(&mut events).await;
        assert_eq!(channel.ack(id).await?, Settled::Recorded);
        assert_eq!(channel.ack(&message).await?, Settled::AlreadyAcked);
        assert_eq!(channel.ack(id).await?, Settled::AlreadyAcked);
        assert_eq!(
            channel.nack(&message, RetryAfter::Policy).await?,
            Settled::AlreadyAcked
        );
        assert_eq!(
            channel.extend(&message, LEASE).await?,
            Settled::AlreadyAcked
        );
    }
    pass()
}

/// X9: nack after ack changes nothing; ack after nack neither.
pub async fn nack_after_ack_does_not_resurrect(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    channel.publish("orders", 1).await?;
    let mut events = channel.iter_events("orders").await?;
    let message = next(&mut events).await;
    let _ = channel.ack(&message).await?;
    let late = channel
        .nack(&message, RetryAfter::Delay(Duration::ZERO))
        .await?;
    assert_eq!(late, Settled::AlreadyAcked);
    nothing_within(&mut events, Duration::from_millis(150)).await;
    channel.publish("orders", 2).await?;
    let message = next(&mut events).await;
    let _ = channel
        .nack(&message, RetryAfter::Delay(Duration::from_secs(60)))
        .await?;
    assert_eq!(channel.ack(&message).await?, Settled::AlreadyNacked);
    assert_eq!(channel.stats("orders").await?.total().delayed, 1);
    pass()
}

/// An id that this channel object does not hold cannot be settled.
pub async fn ack_by_id_needs_a_holder(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    let id = channel.publish("orders", 1).await?;
    let error = fails_with(channel.ack(id).await, ErrorKind::NotHeld);
    assert!(error.to_string().contains(&id.to_string()), "{error}");
    fails_with(
        channel.nack(EventId::new(), RetryAfter::Policy).await,
        ErrorKind::NotHeld,
    );
    let mut events = channel.iter_events("orders").await?;
    assert_eq!(next(&mut events).await.event_id, id);
    assert_eq!(channel.ack(id).await?, Settled::Recorded);
    pass()
}

/// D13: a verdict after the lease ended is recorded if nobody claimed the event since.
pub async fn an_expired_hold_that_nobody_overtook_is_recorded(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.lease(LEASE)).await?;
    channel.publish("orders", 1).await?;
    let mut events = channel.iter_events("orders").await?;
    let message = next(&mut events).await;
    drop(events);
    tokio::time::sleep(LEASE + Duration::from_millis(20)).await; // the lease itself
    assert_eq!(channel.ack(&message).await?, Settled::Recorded);
    assert_eq!(channel.stats("orders").await?.total().acked, 1);
    pass()
}

/// X8: once another claim has overtaken a hold, its verdicts change nothing and say so.
pub async fn an_overtaken_hold_changes_nothing(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.lease(LEASE)).await?;
    channel.publish("orders", 1).await?;
    let mut first = channel.iter_events("orders").await?;
    let old = next(&mut first).await;
    let mut second = channel.iter_events("orders").await?;
    let new = next(&mut second).await;
    assert_eq!((new.event_id, new.attempts), (old.event_id, 2));
    fails_with(channel.ack(&old).await, ErrorKind::HoldLost);
    fails_with(channel.ack(&old).await, ErrorKind::HoldLost);
    fails_with(
        channel.nack(&old, RetryAfter::Delay(Duration::ZERO)).await,
        ErrorKind::HoldLost,
    );
    fails_with(channel.extend(&old, LEASE).await, ErrorKind::HoldLost);
    assert_eq!(channel.ack(&new).await?, Settled::Recorded);
    fails_with(
        channel.nack(&old, RetryAfter::Never).await,
        ErrorKind::HoldLost,
    );
    let stats = channel.stats("orders").await?.total();
    assert_eq!((stats.acked, stats.dead, stats.ready), (1, 0, 0));
    pass()
}

/// `RetryAfter::Never` makes a dead letter at once.
pub async fn never_makes_a_dead_letter(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    channel.publish("orders", 1).await?;
    let mut events = channel.iter_events("orders").await?;
    let message = next(&mut events).await;
    assert_eq!(
        channel.nack(&message, RetryAfter::Never).await?,
        Settled::Recorded
    );
    assert_eq!(channel.ack(&message).await?, Settled::AlreadyNacked);
    let dead = channel
        .admin()
        .expect("durable")
        .dead_letters("orders".try_into()?, 10)
        .await?;
    assert_eq!(
        (dead.len(), dead[0].reason.as_str(), dead[0].attempts),
        (1, "rejected", 1)
    );
    pass()
}

/// A verdict without a reason does not take away the one that a consumer gave before.
pub async fn the_last_reason_is_kept(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.auto_ack(false)).await?;
    let (hand_over, mut messages) = mpsc::unbounded_channel();
    let handler = move |message: EventMessage| {
        let hand_over = hand_over.clone();
        async move {
            if message.attempts == 1 {
                return Err(HandlerError::new("out of ink").retry_after(Duration::ZERO));
            }
            hand_over.send(message)?;
            Ok(())
        }
    };
    channel
        .listen("orders", ListenOptions::new(), handler)
        .await?;
    channel.publish("orders", 1).await?;
    for retry in [RetryAfter::Delay(Duration::ZERO), RetryAfter::Never] {
        let message = messages.recv().await.expect("the listener goes on");
        assert_eq!(channel.nack(&message, retry).await?, Settled::Recorded);
    }
    let admin = channel.admin().expect("durable");
    let dead = admin.dead_letters("orders".try_into()?, 10).await?;
    assert_eq!((dead.len(), dead[0].attempts), (1, 3));
    assert_eq!(dead[0].last_error.as_deref(), Some("out of ink"));
    pass()
}

/// Retention 0 keeps nothing.
pub async fn retention_zero_deletes_on_ack(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.retention(Duration::ZERO)).await?;
    channel.publish("orders", 1).await?;
    let mut events = channel.iter_events("orders").await?;
    let message = next(&mut events).await;
    assert_eq!(channel.ack(&message).await?, Settled::Recorded);
    assert_eq!(channel.stats("orders").await?.total(), Default::default());
    pass()
}

/// X18: acked events go after the window, without any further ack.
pub async fn acked_events_go_after_retention(harness: Harness) -> Result<Outcome> {
    let channel = harness
        .open(|c| c.retention(Duration::from_millis(300)))
        .await?;
    channel.publish("orders", 1).await?;
    let mut events = channel.iter_events("orders").await?;
    let message = next(&mut events).await;
    assert_eq!(channel.ack(&message).await?, Settled::Recorded);
    let acked =
        || async { Ok::<_, event_channels::Error>(channel.stats("orders").await?.total().acked) };
    assert_eq!(acked().await?, 1);
    while acked().await? > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    pass()
}

/// An extended hold outlives its first lease.
pub async fn extend_keeps_the_hold(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.lease(LEASE)).await?;
    channel.publish("orders", 1).await?;
    let mut first = channel.iter_events("orders").await?;
    let message = next(&mut first).await;
    assert_eq!(
        channel.extend(&message, Duration::from_secs(60)).await?,
        Settled::Recorded
    );
    let mut second = channel.iter_events("orders").await?;
    nothing_within(&mut second, LEASE * 3).await;
    assert_eq!(channel.ack(&message).await?, Settled::Recorded);
    pass()
}

/// A receipt belongs to one database: the same row and fence elsewhere are not touched.
pub async fn a_receipt_of_another_database_changes_nothing(harness: Harness) -> Result<Outcome> {
    let here = harness.open(|c| c).await?;
    let there = harness.open(|c| c.queue_table("other_events")).await?;
    for channel in [&here, &there] {
        channel.publish("orders", 1).await?;
    }
    let mut mine = here.iter_events("orders").await?;
    let mut theirs = there.iter_events("orders").await?;
    let (message, other) = (next(&mut mine).await, next(&mut theirs).await);
    fails_with(there.ack(&message).await, ErrorKind::HoldLost);
    assert_eq!(there.ack(&other).await?, Settled::Recorded);
    assert_eq!(here.ack(&message).await?, Settled::Recorded);
    pass()
}

/// Rows are reused once they are deleted: a lost hold is not taken for that of an earlier event.
pub async fn a_lost_hold_is_not_mistaken_for_an_earlier_event(harness: Harness) -> Result<Outcome> {
    let channel = harness
        .open(|c| c.lease(LEASE).retention(Duration::ZERO))
        .await?;
    let mut first = channel.iter_events("orders").await?;
    channel.publish("orders", "acked").await?;
    let message = next(&mut first).await;
    assert_eq!(channel.ack(&message).await?, Settled::Recorded);
    channel.publish("orders", "lost").await?;
    let old = next(&mut first).await;
    let mut second = channel.iter_events("orders").await?;
    let new = next(&mut second).await;
    assert_eq!(new.event_id, old.event_id);
    fails_with(channel.ack(&old).await, ErrorKind::HoldLost);
    assert_eq!(channel.ack(&new).await?, Settled::Recorded);
    pass()
}

/// A hold from before an event died does not reach the one after it was put back.
pub async fn a_requeued_event_has_a_new_hold(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.lease(LEASE).max_attempts(1)).await?;
    channel.publish("orders", 1).await?;
    let mut first = channel.iter_events("orders").await?;
    let old = next(&mut first).await;
    let admin = channel.admin().expect("durable");
    let mut second = channel.iter_events("orders").await?;
    nothing_within(&mut second, LEASE * 2).await; // its only attempt ends with its lease
    assert_eq!(admin.requeue("orders".try_into()?, None).await?, 1);
    let new = next(&mut second).await;
    assert_eq!(new.event_id, old.event_id);
    fails_with(channel.ack(&old).await, ErrorKind::HoldLost);
    assert_eq!(channel.ack(&new).await?, Settled::Recorded);
    pass()
}
