//! What holds where nothing is stored: broadcast, at most once, only to those who listen.

use std::time::Duration;

use event_channels::{
    Error, ErrorKind, EventId, ListenOptions, NewEvent, Result, RetryAfter, Settled,
};
use serde_json::Value;
use tokio::sync::mpsc;

use super::listen::{counted, listen};
use crate::{Harness, Outcome, fails_with, next, nothing_within, pass};

const STORED: Outcome = Outcome::Skipped("this backend stores events");

/// 12, 13, 14: every subscription of every channel gets every event, in order.
pub async fn every_subscription_gets_every_event(harness: Harness) -> Result<Outcome> {
    if harness.durable() {
        return Ok(STORED);
    }
    let channel = harness.open(|c| c).await?;
    let other = harness.open(|c| c).await?;
    let mut all = Vec::new();
    for channel in [&channel, &channel, &other] {
        all.push(("orders", channel.iter_events("orders").await?));
        all.push(("mail", channel.iter_events("mail").await?));
    }
    let batch = (0..10).map(|n| NewEvent::new(if n % 2 == 0 { "orders" } else { "mail" }, n));
    let ids = channel.publish_many(batch).await?;
    for (name, events) in &mut all {
        let first = usize::from(*name == "mail");
        for (n, id) in ids.iter().enumerate().skip(first).step_by(2) {
            let message = next(events).await;
            assert_eq!((message.event_id, &message.payload), (*id, &n.into()));
            assert_eq!(message.channel, *name);
        }
        nothing_within(events, Duration::from_millis(50)).await;
    }
    pass()
}

/// Verdicts are accepted and record nothing, whatever they are about.
pub async fn nothing_is_settled(harness: Harness) -> Result<Outcome> {
    if harness.durable() {
        return Ok(STORED);
    }
    let channel = harness.open(|c| c).await?;
    let mut events = channel.iter_events("orders").await?;
    channel.publish("orders", 1).await?;
    let message = next(&mut events).await;
    let second = Duration::from_secs(1);
    for answer in [
        channel.ack(&message).await?,
        channel.ack(&message).await?,
        channel.nack(&message, RetryAfter::Policy).await?,
        channel.extend(&message, second).await?,
        channel.ack(EventId::new()).await?,
    ] {
        assert_eq!(answer, Settled::NothingToRecord);
    }
    nothing_within(&mut events, Duration::from_millis(100)).await;
    assert!(channel.admin().is_none());
    fails_with(channel.stats("orders").await, ErrorKind::Unsupported);
    pass()
}

/// X3: 1,000 of 1,000 events that are published right after `listen` returned, by another channel
/// object, on channels that were listened to a moment ago and on new ones.
pub async fn what_is_published_right_after_listen_arrives(harness: Harness) -> Result<Outcome> {
    if harness.durable() {
        return Ok(STORED);
    }
    let listening = harness.open(|c| c).await?;
    let publishing = harness.open(|c| c).await?;
    let (seen, mut arrived) = mpsc::unbounded_channel();
    for n in 0..1_000 {
        let seen = seen.clone();
        let name = format!("orders_{}", if n % 2 == 0 { 0 } else { n });
        let handler = move |message: event_channels::EventMessage| {
            let seen = seen.clone();
            async move {
                seen.send(message.payload)?;
                Ok(())
            }
        };
        let options = ListenOptions::new();
        let listener = listening.listen(&name, options, handler).await?;
        publishing.publish(&name, n).await?;
        assert_eq!(arrived.recv().await, Some(n.into()));
        listener.stop().await;
    }
    pass()
}

/// 17, 18: of three events with room for two the newest two come, and the number that is missing.
pub async fn a_slow_consumer_is_told_what_it_missed(harness: Harness) -> Result<Outcome> {
    if harness.durable() {
        return Ok(STORED);
    }
    let channel = harness.open(|c| c.listener_queue_capacity(2)).await?;
    let mut slow = channel.iter_events("orders").await?;
    let mut quick = channel.iter_events("orders").await?;
    for n in 1..=3 {
        channel.publish("orders", n).await?;
        assert_eq!(next(&mut quick).await.payload, n);
    }
    // The last one has reached the other consumer too: both are served by one connection.
    assert_eq!(counted(&channel, ".events.listener.queue.depth"), Some(2.0));
    let lagged: Error = slow
        .next()
        .await
        .expect("it goes on")
        .expect_err("it lagged");
    assert_eq!(lagged.as_lagged(), Some(1));
    assert_eq!(next(&mut slow).await.payload, 2);
    assert_eq!(next(&mut slow).await.payload, 3);
    assert_eq!(
        counted(&channel, ".events.listener.queue.dropped"),
        Some(1.0)
    );
    channel.publish("orders", 4).await?;
    assert_eq!(next(&mut quick).await.payload, 4);
    channel.shutdown().await?;
    assert_eq!(
        counted(&channel, ".events.listener.queue.dropped"),
        Some(1.0)
    );
    drop(slow);
    assert_eq!(counted(&channel, ".events.listener.queue.depth"), Some(0.0));
    pass()
}

/// A handler that fails loses its event and no other; the listener goes on.
pub async fn a_failed_event_is_gone_and_the_listener_goes_on(harness: Harness) -> Result<Outcome> {
    if harness.durable() {
        return Ok(STORED);
    }
    let channel = harness.open(|c| c).await?;
    let act = |payload: &Value| match payload.as_str() {
        Some("bad") => Err("no".into()),
        _ => Ok(()),
    };
    let (listener, mut events) = listen(&channel, ListenOptions::new(), act).await?;
    for payload in ["bad", "good", "bad"] {
        channel.publish("orders", payload).await?;
        let message = events.recv().await.expect("the listener goes on");
        assert_eq!(message.payload, payload);
    }
    listener.stop().await;
    assert!(events.recv().await.is_none(), "nothing comes again");
    assert_eq!(counted(&channel, ".events.handler.error"), Some(2.0));
    pass()
}
