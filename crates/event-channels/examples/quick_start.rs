//! Publish, iterate, acknowledge.
//!
//! `cargo run -p event-channels --example quick_start`

use std::io::Write as _;

use event_channels::{EventChannel, EventsConfig};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = EventsConfig::new("sqlite::memory:")?.queue_table("app_events");
    let channel = EventChannel::open(config).await?;
    let payload = json!({"type": "cache_invalidate", "key": "user:1"});
    channel.publish("notifications", payload).await?;

    let mut events = channel.iter_events("notifications").await?;
    if let Some(message) = events.next().await {
        let message = message?;
        writeln!(std::io::stdout(), "{}", message.payload)?;
        channel.ack(&message).await?;
    }
    channel.shutdown().await?;
    Ok(())
}
