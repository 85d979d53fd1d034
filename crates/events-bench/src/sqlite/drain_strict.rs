//! One event at a time: the next is asked for when the acknowledgement of the last is committed.

use std::time::{Duration, Instant};

use event_channels::{Durability, EventChannel, blocking};

use super::drain::RAW_BATCH;
use super::file::File;
use super::handled::Handled;
use super::hop::Hop;
use super::raw::{CHANNEL, Raw, connect};
use super::runtime::block_on;
use crate::case::{
    Api, Bound, Comparison, Effort, Metric, OURS, Other, Result, Rule, SMALL, Setting, Subject,
};
use crate::measured::{Measured, Tally};

const CASE: &str = "drain_strict";

pub(super) fn comparisons() -> Vec<Comparison> {
    Setting::consuming().map(comparison).collect()
}

fn comparison(setting: Setting) -> Comparison {
    let others = match setting.api {
        // The library prefetches, so the limit that counts claims in batches as well.
        Api::Blocking => vec![
            Other {
                subject: raw(setting, RAW_BATCH, "raw claim 100, ack 1"),
                bounds: vec![Bound::floor(Rule::AtLeast(0.7))],
            },
            Other {
                subject: raw(setting, 1, "raw claim 1, ack 1"),
                bounds: Vec::new(),
            },
        ],
        Api::Async => vec![Other {
            subject: hop(setting),
            bounds: vec![Bound::floor(Rule::AtLeast(0.8))],
        }],
    };
    Comparison {
        case: CASE,
        by: Metric::PerSecond,
        standard: setting.payload_bytes == SMALL && !setting.retention.is_zero(),
        ours: ours(setting),
        bounds: Vec::new(),
        others,
    }
}

fn events(effort: &Effort) -> usize {
    effort.events(5_000, 1)
}

fn ours(setting: Setting) -> Subject {
    Subject {
        peer: OURS,
        setting,
        measure: Box::new(move |effort| {
            let file = File::new(effort)?;
            let events = events(effort);
            file.fill(events, setting.payload_bytes)?;
            let config = file.config(&setting)?;
            let (took, handled) = match setting.api {
                Api::Blocking => {
                    let channel = blocking::EventChannel::open(config)?;
                    let drained = one_by_one(&channel, events)?;
                    channel.shutdown()?;
                    drained
                }
                Api::Async => block_on(async move {
                    let channel = EventChannel::open(config).await?;
                    let drained = one_by_one_async(&channel, events).await?;
                    channel.shutdown().await?;
                    Ok(drained)
                })?,
            };
            file.check_all_acked()?;
            Ok(Measured::of(events, took).counted(&handled.tally))
        }),
    }
}

fn one_by_one(channel: &blocking::EventChannel, events: usize) -> Result<(Duration, Handled)> {
    let handled = Handled::new(events);
    let begun = Instant::now();
    for message in channel.iter_events(CHANNEL)?.take(events) {
        let message = message?;
        handled.note(&message);
        channel.ack(&message)?;
    }
    Ok((begun.elapsed(), handled))
}

async fn one_by_one_async(channel: &EventChannel, events: usize) -> Result<(Duration, Handled)> {
    let handled = Handled::new(events);
    let begun = Instant::now();
    let mut stream = channel.iter_events(CHANNEL).await?;
    for _ in 0..events {
        let message = stream.next().await.ok_or("the stream ended")??;
        handled.note(&message);
        channel.ack(&message).await?;
    }
    Ok((begun.elapsed(), handled))
}

fn raw(setting: Setting, batch: i64, peer: &'static str) -> Subject {
    Subject {
        peer,
        setting,
        measure: Box::new(move |effort| {
            let file = File::new(effort)?;
            let events = events(effort);
            file.fill(events, setting.payload_bytes)?;
            let connection = connect(&file.path(), Durability::Process)?;
            let mut raw = Raw::prepare(&connection)?;
            let tally = Tally::new(events);
            let mut held = Vec::new();
            let begun = Instant::now();
            loop {
                held.clear();
                raw.claim(batch, &mut held)?;
                if held.is_empty() {
                    break;
                }
                for held in &held {
                    tally.note(held.number);
                    raw.ack(held, setting.retention)?;
                }
            }
            let took = begun.elapsed();
            file.check_all_acked()?;
            Ok(Measured::of(events, took).counted(&tally))
        }),
    }
}

/// The same claims and acknowledgements on another thread, awaited.
fn hop(setting: Setting) -> Subject {
    Subject {
        peer: "bare hop",
        setting,
        measure: Box::new(move |effort| {
            let file = File::new(effort)?;
            let events = events(effort);
            file.fill(events, setting.payload_bytes)?;
            let hop = Hop::start(&file.path(), Durability::Process, setting.retention);
            let (took, tally) = block_on(async move {
                let tally = Tally::new(events);
                let begun = Instant::now();
                loop {
                    let held = hop.claim(RAW_BATCH).await?;
                    if held.is_empty() {
                        break;
                    }
                    for held in held {
                        tally.note(held.number);
                        hop.ack(held).await?;
                    }
                }
                Ok((begun.elapsed(), tally))
            })?;
            file.check_all_acked()?;
            Ok(Measured::of(events, took).counted(&tally))
        }),
    }
}
