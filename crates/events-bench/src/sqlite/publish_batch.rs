//! One caller that publishes a hundred events with each call.

use std::time::Instant;

use event_channels::{EventChannel, NewEvent, blocking};

use super::file::File;
use super::raw::{CHANNEL, Raw, connect};
use super::runtime::block_on;
use crate::case::{
    Api, Bound, Comparison, Effort, Metric, OURS, Other, Rule, SMALL, Setting, Subject,
};
use crate::measured::Measured;
use crate::payload::Payloads;

const CASE: &str = "publish_batch100";
const BATCH: usize = 100;

pub(super) fn comparisons() -> Vec<Comparison> {
    let comparison = |setting: Setting| Comparison {
        case: CASE,
        by: Metric::PerSecond,
        standard: setting.payload_bytes == SMALL,
        ours: ours(setting),
        bounds: Vec::new(),
        others: vec![Other {
            subject: raw(setting),
            bounds: vec![Bound::floor(Rule::AtLeast(0.6))],
        }],
    };
    Setting::publishing().map(comparison).collect()
}

fn events(setting: &Setting, effort: &Effort) -> usize {
    let full = if setting.payload_bytes > 1024 {
        10_000
    } else {
        50_000
    };
    effort.events(full, BATCH)
}

pub(super) fn ours(setting: Setting) -> Subject {
    Subject {
        peer: OURS,
        setting,
        measure: Box::new(move |effort| {
            let file = File::new(effort)?;
            let events = events(&setting, effort);
            let config = file.config(&setting)?;
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
            Ok(Measured::of(events, took).counted(&file.stored(events)?))
        }),
    }
}

/// One transaction for each batch on one connection.
fn raw(setting: Setting) -> Subject {
    Subject {
        peer: "raw",
        setting,
        measure: Box::new(move |effort| {
            let file = File::new(effort)?;
            let events = events(&setting, effort);
            let payloads = Payloads::of(setting.payload_bytes);
            let connection = connect(&file.path(), setting.durability)?;
            let mut raw = Raw::prepare(&connection)?;
            let begun = Instant::now();
            for first in (0..events).step_by(BATCH) {
                let numbers = first..first + BATCH;
                raw.insert_all(numbers.map(|number| payloads.text(number)))?;
            }
            let took = begun.elapsed();
            Ok(Measured::of(events, took).counted(&file.stored(events)?))
        }),
    }
}
