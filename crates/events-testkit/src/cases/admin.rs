//! What operators see and do.

use std::time::Duration;

use event_channels::{
    ChannelName, IterOptions, NewEvent, PublishOptions, Result, RetryAfter, Settled,
};

use crate::{Harness, Outcome, next, pass};

/// Counts by state, and the age of the oldest ready event.
pub async fn stats_count_each_state(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    channel
        .publish_many((0..6).map(|n| NewEvent::new("orders", n)))
        .await?;
    channel
        .publish_with(
            "orders",
            6,
            PublishOptions::new().delay(Duration::from_secs(60)),
        )
        .await?;
    channel.publish("mail", 0).await?;
    let mut events = channel
        .iter_events_with("orders", IterOptions::new().prefetch(1))
        .await?;
    let taken = [
        next(&mut events).await,
        next(&mut events).await,
        next(&mut events).await,
    ];
    drop(events);
    let _ = channel.ack(&taken[0]).await?;
    let _ = channel.nack(&taken[1], RetryAfter::Never).await?;
    let stats = loop {
        let stats = channel.stats("orders").await?.total();
        // What was claimed ahead is released by the writer in its own time.
        if stats.leased == 1 {
            break stats;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(
        (
            stats.ready,
            stats.delayed,
            stats.leased,
            stats.acked,
            stats.dead
        ),
        (3, 1, 1, 1, 1)
    );
    assert!(stats.oldest_ready_age.is_some());
    let all = channel.admin().expect("durable").stats(None).await?;
    let names: Vec<_> = all.iter().map(|stats| stats.channel.to_string()).collect();
    assert_eq!(names, ["mail", "orders"]);
    assert_eq!(channel.stats("never_used").await?.groups, []);
    pass()
}

/// Dead letters are listed newest first, go back with a fresh count, and can be deleted.
pub async fn dead_letters_are_listed_requeued_and_purged(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    let orders: ChannelName = "orders".try_into()?;
    let ids = channel
        .publish_many((0..3).map(|n| NewEvent::new("orders", n)))
        .await?;
    let mut events = channel.iter_events("orders").await?;
    for _ in 0..3 {
        let message = next(&mut events).await;
        let _ = channel.nack(&message, RetryAfter::Never).await?;
    }
    let admin = channel.admin().expect("a durable backend has operations");
    let dead = admin.dead_letters(orders.clone(), 2).await?;
    assert_eq!(
        dead.iter()
            .map(|letter| letter.event_id)
            .collect::<Vec<_>>(),
        [ids[2], ids[1]]
    );
    assert_eq!(admin.requeue(orders.clone(), Some(vec![ids[1]])).await?, 1);
    let again = next(&mut events).await;
    assert_eq!(
        (again.event_id, again.attempts, &again.payload),
        (ids[1], 1, &1.into())
    );
    assert_eq!(channel.ack(&again).await?, Settled::Recorded);
    assert_eq!(
        admin.purge_dead(orders.clone(), Some(vec![ids[0]])).await?,
        1
    );
    assert_eq!(admin.purge_dead(orders.clone(), None).await?, 1);
    assert_eq!(admin.requeue(orders, None).await?, 0);
    assert_eq!(channel.stats("orders").await?.total().dead, 0);
    pass()
}
