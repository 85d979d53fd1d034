//! Durable fan-out: every consumer group gets every event, also what is published while none of
//! its members runs.
//!
//! `cargo run -p event-channels --example groups`

use std::io::Write as _;

use event_channels::{EventChannel, IterOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let channel = EventChannel::open("sqlite::memory:").await?;
    for group in ["billing", "mail"] {
        channel.subscribe_group("orders", group).await?;
    }
    channel.publish("orders", "order 1").await?;

    for group in ["billing", "mail"] {
        let options = IterOptions::new().group(group);
        let mut events = channel.iter_events_with("orders", options).await?;
        if let Some(message) = events.next().await {
            let message = message?;
            writeln!(std::io::stdout(), "{group} got {}", message.payload)?;
            channel.ack(&message).await?;
        }
    }
    channel.shutdown().await?;
    Ok(())
}
