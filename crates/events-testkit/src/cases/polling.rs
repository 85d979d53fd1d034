//! How often a consumer looks at the database.

use std::time::Duration;

use event_channels::{IterOptions, ListenOptions, Result};

use super::listen::listen;
use crate::{Harness, Outcome, nothing_within, pass};

/// 55, 96: the poll interval of a call wins over the configured one, for streams and listeners.
pub async fn the_poll_interval_of_the_call_wins(harness: Harness) -> Result<Outcome> {
    let short = Duration::from_millis(10);
    let channel = harness
        .open(|c| c.poll_interval(Duration::from_secs(600)))
        .await?;
    let looks = || {
        let values = channel.telemetry_snapshot();
        let of =
            |(key, value): (&String, &f64)| key.ends_with(".events.poll.query").then_some(*value);
        values.iter().find_map(of).expect("it is always there")
    };
    let mut events = channel
        .iter_events_with("orders", IterOptions::new().poll_interval(short))
        .await?;
    let before = looks();
    while looks() < before + 5.0 {
        // Nothing comes, and the stream looks again and again.
        nothing_within(&mut events, short * 3).await;
    }
    drop(events);
    let before = looks();
    let options = ListenOptions::new().poll_interval(short);
    let (listener, _events) = listen(&channel, options, |_| Ok(())).await?;
    while looks() < before + 5.0 {
        tokio::time::sleep(short).await;
    }
    listener.stop().await;
    pass()
}
