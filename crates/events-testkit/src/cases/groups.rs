//! Consumer groups: durable fan-out.

use std::time::Duration;

use event_channels::{ErrorKind, FanOut, IterOptions, NewEvent, Result, Settled};

use crate::{Harness, Outcome, fails_with, next, nothing_within, pass};

const NONE: Outcome = Outcome::Skipped("this backend has no consumer groups");

/// X24: two groups each receive every event; the members of one group compete.
pub async fn each_group_gets_every_event_and_members_compete(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.prefetch(1)).await?;
    if channel.capabilities().fan_out != FanOut::Groups {
        return Ok(NONE);
    }
    let group = |name: &str| IterOptions::new().group(name);
    let mut billing = [
        channel.iter_events_with("orders", group("billing")).await?,
        channel.iter_events_with("orders", group("billing")).await?,
    ];
    let mut mail = channel.iter_events_with("orders", group("mail")).await?;
    let ids = channel
        .publish_many((0..10).map(|n| NewEvent::new("orders", n)))
        .await?;
    let mut billed = Vec::new();
    let [one, other] = &mut billing;
    for _ in 0..10 {
        // Whichever holds it: a claim that one has begun keeps its event from the other.
        let message = tokio::select! {
            message = next(one) => message,
            message = next(other) => message,
        };
        billed.push(message.event_id);
        assert_eq!(channel.ack(&message).await?, Settled::Recorded);
    }
    billed.sort();
    assert_eq!(billed, ids, "each event came to one member");
    for id in &ids {
        let message = next(&mut mail).await;
        assert_eq!((message.event_id, message.attempts), (*id, 1));
        assert_eq!(channel.ack(&message).await?, Settled::Recorded);
    }
    for events in &mut billing {
        nothing_within(events, Duration::from_millis(100)).await;
    }
    let stats = channel.stats("orders").await?;
    assert_eq!(
        stats.groups.len(),
        2,
        "no default group was registered: {stats:?}"
    );
    if harness.leases() {
        assert!(stats.groups.iter().all(|group| group.acked == 10));
    }
    pass()
}

/// A new group receives what is published after it, and takes nothing away from another.
pub async fn a_group_gets_what_is_published_after_it(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    if channel.capabilities().fan_out != FanOut::Groups {
        return Ok(NONE);
    }
    channel.publish("orders", "before").await?;
    assert!(channel.subscribe_group("orders", "late").await?);
    assert!(
        !channel.subscribe_group("orders", "late").await?,
        "registering again changes nothing"
    );
    channel.publish("orders", "after").await?;
    let mut late = channel
        .iter_events_with("orders", IterOptions::new().group("late"))
        .await?;
    assert_eq!(next(&mut late).await.payload, "after");
    let mut default = channel.iter_events("orders").await?;
    let before = next(&mut default).await;
    assert_eq!(before.payload, "before");
    assert_eq!(channel.ack(&before).await?, Settled::Recorded);
    assert_eq!(next(&mut default).await.payload, "after");
    fails_with(
        channel.subscribe_group("orders", "-").await,
        ErrorKind::InvalidInput,
    );
    pass()
}

/// An id that one channel object holds for two groups is settled by message, not by id.
pub async fn an_id_held_by_two_groups_is_ambiguous(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    if channel.capabilities().fan_out != FanOut::Groups {
        return Ok(NONE);
    }
    let mut first = channel
        .iter_events_with("orders", IterOptions::new().group("a"))
        .await?;
    let mut second = channel
        .iter_events_with("orders", IterOptions::new().group("b"))
        .await?;
    let id = channel.publish("orders", 1).await?;
    let (one, two) = (next(&mut first).await, next(&mut second).await);
    let error = fails_with(channel.ack(id).await, ErrorKind::InvalidInput);
    assert!(error.to_string().contains("message"), "{error}");
    assert_eq!(channel.ack(&one).await?, Settled::Recorded);
    assert_eq!(channel.ack(&two).await?, Settled::Recorded);
    pass()
}
