//! The options of an event: delay, priority, expiry, an id of one's own.

use std::time::{Duration, Instant};

use event_channels::{EventId, NewEvent, PublishOptions, Result, RetryAfter};

use crate::{Harness, Outcome, next, nothing_within, pass};

/// X25: invisible before its time, also when it was nacked into the future; then it comes by
/// itself, long before the poll interval.
pub async fn a_delayed_event_is_invisible_until_due(harness: Harness) -> Result<Outcome> {
    let channel = harness
        .open(|c| c.poll_interval(Duration::from_secs(60)))
        .await?;
    if !channel.capabilities().delay {
        return Ok(Outcome::Skipped("this backend has no delay"));
    }
    let delay = Duration::from_millis(400);
    let mut events = channel.iter_events("orders").await?;
    let published = Instant::now();
    channel
        .publish_with("orders", "later", PublishOptions::new().delay(delay))
        .await?;
    channel.publish("orders", "now").await?;
    let first = next(&mut events).await;
    assert_eq!(first.payload, "now");
    let _ = channel.ack(&first).await?;
    let second = next(&mut events).await;
    assert_eq!(second.payload, "later");
    assert!(
        published.elapsed() >= delay,
        "delivered after {:?}",
        published.elapsed()
    );
    assert!(
        published.elapsed() < Duration::from_secs(30),
        "the poll interval was waited for"
    );
    let nacked = Instant::now();
    let _ = channel.nack(&second, RetryAfter::Delay(delay)).await?;
    assert_eq!(next(&mut events).await.payload, "later");
    assert!(nacked.elapsed() >= delay);
    pass()
}

/// Higher first; equal ones in the order of publishing.
pub async fn higher_priority_first(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    if !channel.capabilities().priority {
        return Ok(Outcome::Skipped("this backend has no priority"));
    }
    for (name, priority) in [
        ("c", 0),
        ("e", -5),
        ("a", 9),
        ("d", 0),
        ("b", 5),
        ("f", i16::MIN),
    ] {
        channel
            .publish_with("orders", name, PublishOptions::new().priority(priority))
            .await?;
    }
    let mut events = channel.iter_events("orders").await?;
    let mut order = String::new();
    for _ in 0..6 {
        let message = next(&mut events).await;
        order += &message.payload_as::<String>()?;
        let _ = channel.ack(&message).await?;
    }
    assert_eq!(order, "abcdef");
    pass()
}

/// Publishing the same id again stores nothing and answers it, also after the event was settled.
pub async fn an_id_published_twice_is_stored_once(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.retention(Duration::ZERO)).await?;
    if !channel.capabilities().idempotent {
        return Ok(Outcome::Skipped("this backend has no idempotent ids"));
    }
    let id = EventId::new();
    let options = || PublishOptions::new().event_id(id);
    assert_eq!(channel.publish_with("orders", 1, options()).await?, id);
    assert_eq!(channel.publish_with("orders", 2, options()).await?, id);
    let batch = [
        NewEvent::new("orders", 3).options(options()),
        NewEvent::new("orders", 4),
    ];
    let ids = channel.publish_many(batch).await?;
    assert_eq!(ids[0], id);
    let mut events = channel.iter_events("orders").await?;
    for expected in [1, 4] {
        let message = next(&mut events).await;
        assert_eq!(message.payload, expected);
        let _ = channel.ack(&message).await?;
    }
    assert_eq!(channel.publish_with("orders", 5, options()).await?, id);
    nothing_within(&mut events, Duration::from_millis(150)).await;
    pass()
}

/// An event that nobody took in time is not delivered; it is kept as a dead letter.
pub async fn an_expired_event_becomes_a_dead_letter(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    if !channel.capabilities().expires || !harness.leases() {
        return Ok(Outcome::Skipped(
            "this backend has no expiry, or no list of dead letters; events-oracle-aq tests its own",
        ));
    }
    let options = PublishOptions::new().expires_in(Duration::from_millis(1));
    let id = channel.publish_with("orders", "stale", options).await?;
    channel
        .publish_with(
            "orders",
            "fresh",
            PublishOptions::new().expires_in(Duration::from_secs(3600)),
        )
        .await?;
    tokio::time::sleep(Duration::from_millis(5)).await; // the expiry itself, not a guess
    let mut events = channel.iter_events("orders").await?;
    assert_eq!(next(&mut events).await.payload, "fresh");
    let admin = channel.admin().expect("a durable backend has operations");
    let dead = admin.dead_letters("orders".try_into()?, 10).await?;
    assert_eq!(
        (dead.len(), dead[0].event_id, dead[0].reason.as_str()),
        (1, id, "expired")
    );
    pass()
}

/// Nor are a thousand of them, however few are put away at a time.
pub async fn many_expired_events_are_not_delivered(harness: Harness) -> Result<Outcome> {
    let channel = harness
        .open(|c| c.poll_interval(Duration::from_secs(60)))
        .await?;
    if !channel.capabilities().expires || !harness.leases() {
        return Ok(Outcome::Skipped(
            "this backend has no expiry, or no list of dead letters; events-oracle-aq tests its own",
        ));
    }
    let stale = || PublishOptions::new().expires_in(Duration::from_millis(1));
    let batch = (0..1200).map(|n| NewEvent::new("orders", n).options(stale()));
    channel.publish_many(batch).await?;
    channel
        .publish_with("orders", "fresh", PublishOptions::new().priority(-1))
        .await?;
    tokio::time::sleep(Duration::from_millis(5)).await; // the expiry itself
    let mut events = channel.iter_events("orders").await?;
    assert_eq!(next(&mut events).await.payload, "fresh");
    assert_eq!(channel.stats("orders").await?.total().leased, 1);
    pass()
}

/// Nor is one delivered that expires after it was claimed ahead, while another is handled.
pub async fn an_event_that_expires_in_the_buffer_is_not_delivered(
    harness: Harness,
) -> Result<Outcome> {
    let channel = harness.open(|c| c.prefetch(3)).await?;
    if !channel.capabilities().expires || !harness.leases() {
        return Ok(Outcome::Skipped(
            "this backend has no expiry, or no list of dead letters; events-oracle-aq tests its own",
        ));
    }
    let time = Duration::from_millis(200);
    channel.publish("orders", "first").await?;
    channel
        .publish_with("orders", "stale", PublishOptions::new().expires_in(time))
        .await?;
    channel.publish("orders", "last").await?;
    let mut events = channel.iter_events("orders").await?;
    assert_eq!(next(&mut events).await.payload, "first");
    tokio::time::sleep(time).await; // the expiry itself
    assert_eq!(next(&mut events).await.payload, "last");
    pass()
}
