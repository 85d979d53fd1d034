//! Several sessions claim from one queue.

use std::collections::HashMap;
use std::time::Duration;

use event_channels::{EventChannel, EventId, IterOptions, NewEvent, Result};
use tokio::sync::mpsc::UnboundedSender;

use crate::support::{config, with_database};

const EVENTS: u32 = 400;

/// Four channel objects, each with sessions of its own: every event once, none left.
#[test]
fn four_sessions_claim_each_event_once() {
    with_database("four_sessions_claim_each_event_once", async |database| {
        let publisher = config(database).open().await?;
        let events = (0..EVENTS).map(|n| NewEvent::new("orders", n));
        let mut left: HashMap<EventId, u32> = publisher
            .publish_many(events)
            .await?
            .into_iter()
            .map(|id| (id, 0))
            .collect();
        let (came, mut coming) = tokio::sync::mpsc::unbounded_channel();
        let mut consumers = tokio::task::JoinSet::new();
        let mut channels = Vec::new();
        for _ in 0..4 {
            let channel = config(database).open().await?;
            channels.push(channel.clone());
            consumers.spawn(consume(channel, came.clone()));
        }
        drop(came);
        for _ in 0..EVENTS {
            let id = coming.recv().await.expect("the consumers go on");
            *left.get_mut(&id).expect("only what was published comes") += 1;
        }
        for channel in channels {
            channel.shutdown().await?;
        }
        while let Some(ended) = consumers.join_next().await {
            ended.expect("no consumer panics")?;
        }
        // What came twice came in between.
        while let Some(id) = coming.recv().await {
            *left.get_mut(&id).expect("only what was published comes") += 1;
        }
        let wrong: Vec<_> = left.iter().filter(|(_, times)| **times != 1).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        let stats = publisher.stats("orders").await?.total();
        assert_eq!((stats.ready, stats.leased, stats.dead), (0, 0, 0));
        publisher.shutdown().await.map(drop)
    });
}

/// Acknowledges what comes and then tells its id, until the channel is shut down.
async fn consume(channel: EventChannel, came: UnboundedSender<EventId>) -> Result<()> {
    let options = IterOptions::new().poll_interval(Duration::from_millis(20));
    let mut events = channel.iter_events_with("orders", options).await?;
    while let Some(message) = events.next().await {
        let message = message?;
        channel.ack(&message).await?;
        let _ = came.send(message.event_id);
    }
    Ok(())
}
