//! What an operator reads off: health and counters.

use event_channels::Result;

use crate::{Harness, Outcome, next, pass};

/// Health is a round trip that names backend and database.
pub async fn health_names_the_database(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    let health = channel.health().await?;
    assert_eq!(health.backend, channel.backend_name());
    assert!(!health.database.is_empty());
    pass()
}

/// 5: after one publish and one ack the snapshot says one and one.
pub async fn telemetry_counts_one_publish_and_one_ack(harness: Harness) -> Result<Outcome> {
    let name = format!("telemetry_{}", event_channels::EventId::new());
    let channel = harness.open(|c| c.name(&*name)).await?;
    channel.publish("orders", 1).await?;
    let mut events = channel.iter_events("orders").await?;
    let message = next(&mut events).await;
    let _ = channel.ack(&message).await?;
    let everything = event_channels::telemetry_snapshot();
    for values in [channel.telemetry_snapshot(), everything] {
        // Native backends count what they send apart, and those that are transient record no verdict.
        let (published, acked) = match (harness.leases(), harness.durable()) {
            (true, _) => ("publish", 1.0),
            (false, true) => ("publish.native", 1.0),
            (false, false) => ("publish.native", 0.0),
        };
        for (event, count) in [(published, 1.0), ("ack", acked), ("deliver", 1.0)] {
            let key = format!("{name}.events.{event}");
            assert_eq!(values.get(&key), Some(&count), "{event}");
        }
    }
    pass()
}
