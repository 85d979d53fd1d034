//! Spans and metrics as a program sees them that has installed a subscriber and a recorder.
//!
//! Both exist once per process, so these tests have a binary of their own.

mod metrics;
mod recorder;
mod secrets;
mod spans;
mod subscriber;

use event_channels::{EventId, EventsConfig};

/// A configuration with counters of its own.
fn config(url: &str) -> EventsConfig {
    let name = format!("telemetry_{}", EventId::new());
    EventsConfig::new(url).unwrap().name(name)
}
