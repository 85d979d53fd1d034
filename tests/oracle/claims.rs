//! Several sessions claim from one queue.

use std::collections::HashMap;
use std::time::Duration;

use event_channels::{Drained, EventId, IterOptions, NewEvent, Result};

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
        let mut consumers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let config = config(database);
            consumers.spawn(async move { drain(config).await });
        }
        while let Some(ids) = consumers.join_next().await {
            for id in ids.expect("no consumer panics")? {
                *left.get_mut(&id).expect("only what was published comes") += 1;
            }
        }
        let wrong: Vec<_> = left.iter().filter(|(_, times)| **times != 1).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        let stats = publisher.stats("orders").await?.total();
        assert_eq!((stats.ready, stats.leased, stats.dead), (0, 0, 0));
        publisher.shutdown().await.map(drop)
    });
}

async fn drain(config: event_channels::EventsConfig) -> Result<Vec<EventId>> {
    let channel = config.open().await?;
    let options = IterOptions::new().poll_interval(Duration::from_millis(20));
    let mut events = channel.iter_events_with("orders", options).await?;
    let mut ids = Vec::new();
    let idle = Duration::from_secs(2);
    while let Ok(Some(message)) = tokio::time::timeout(idle, events.next()).await {
        let message = message?;
        ids.push(message.event_id);
        channel.ack(&message).await?;
    }
    drop(events);
    let _: Drained = channel.shutdown().await?;
    Ok(ids)
}
