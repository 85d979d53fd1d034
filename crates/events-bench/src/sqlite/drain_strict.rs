//! One event at a time: the next is asked for when the acknowledgement of the last is committed.

use std::time::Instant;

use event_channels::Durability;

use super::drain::RAW_BATCH;
use super::file::File;
use super::hop::Hop;
use super::raw::{Raw, connect};
use crate::case::{Api, Bound, Comparison, Metric, Other, Rule, SMALL, Setting, Subject};
use crate::measured::{Measured, Tally};
use crate::ours::drain_strict::{events, ours};
use crate::place::{Place as _, Tables as _};
use crate::runtime::block_on;

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
        ours: ours::<File>(setting),
        bounds: Vec::new(),
        others,
    }
}

fn raw(setting: Setting, batch: i64, peer: &'static str) -> Subject {
    Subject {
        peer,
        setting,
        measure: Box::new(move |effort| {
            let file = File::make(effort)?;
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
            let file = File::make(effort)?;
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
