//! One caller that publishes a hundred events with each call.

use std::time::Instant;

use event_channels::{EventChannel, NewEvent, blocking};

use crate::case::{Api, Effort, OURS, Setting, Subject};
use crate::measured::Measured;
use crate::payload::Payloads;
use crate::place::{CHANNEL, Counting};
use crate::runtime::block_on;

/// How many events a call publishes.
pub(crate) const BATCH: usize = 100;

pub(crate) fn events(setting: &Setting, effort: &Effort) -> usize {
    let full = if setting.payload_bytes > 1024 {
        10_000
    } else {
        50_000
    };
    effort.events(full, BATCH)
}

pub(crate) fn ours<P: Counting>(setting: Setting) -> Subject {
    Subject {
        peer: OURS,
        setting,
        measure: Box::new(move |effort| {
            let place = P::make(effort)?;
            let events = events(&setting, effort);
            let config = place.config(&setting)?;
            let payloads = Payloads::of(setting.payload_bytes);
            let batch = move |first: usize| -> Vec<NewEvent> {
                let numbers = first..first + BATCH;
                numbers
                    .map(|number| NewEvent::new(CHANNEL, payloads.get(number)))
                    .collect()
            };
            let took = match setting.api {
                Api::Blocking => {
                    let channel = blocking::EventChannel::open(config)?;
                    let begun = Instant::now();
                    for first in (0..events).step_by(BATCH) {
                        channel.publish_many(batch(first))?;
                    }
                    let took = begun.elapsed();
                    channel.shutdown()?;
                    took
                }
                Api::Async => block_on(async move {
                    let channel = EventChannel::open(config).await?;
                    let begun = Instant::now();
                    for first in (0..events).step_by(BATCH) {
                        channel.publish_many(batch(first)).await?;
                    }
                    let took = begun.elapsed();
                    channel.shutdown().await?;
                    Ok(took)
                })?,
            };
            Ok(Measured::of(events, took).counted(&place.published(events)?))
        }),
    }
}
