//! Publish and iterate on PostgreSQL, by LISTEN and NOTIFY; no table is needed.
//!
//! `EVENTS_URL=postgres://… cargo run -p event-channels --features pg-native --example notifications`

use std::io::Write as _;

use event_channels::{ErrorKind, EventChannel};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("EVENTS_URL").map_err(|_| "set EVENTS_URL to a postgres:// URL")?;
    let channel = EventChannel::open(url).await?;
    let mut events = channel.iter_events("notifications").await?;
    let payload = json!({"type": "cache_invalidate", "key": "user:1"});
    channel.publish("notifications", payload).await?;

    let mut out = std::io::stdout();
    while let Some(item) = events.next().await {
        match item {
            Ok(message) => {
                writeln!(out, "{}", message.payload)?;
                break;
            }
            // The connection was away, and events may be missing: read what they are about anew.
            Err(error) if error.kind() == ErrorKind::Gap => writeln!(out, "{error}")?,
            Err(error) if error.stream_continues() => {}
            Err(error) => return Err(error.into()),
        }
    }
    channel.shutdown().await?;
    Ok(())
}
