//! One caller that publishes a hundred events with each call.

use std::time::Instant;

use super::file::File;
use super::raw::{Raw, connect};
use crate::case::{Bound, Comparison, Metric, Other, Rule, SMALL, Setting, Subject};
use crate::measured::Measured;
use crate::ours::publish_batch::{BATCH, events, ours};
use crate::payload::Payloads;
use crate::place::{Counting as _, Place as _};

const CASE: &str = "publish_batch100";

pub(super) fn comparisons() -> Vec<Comparison> {
    let comparison = |setting: Setting| Comparison {
        case: CASE,
        by: Metric::PerSecond,
        standard: setting.payload_bytes == SMALL,
        ours: ours::<File>(setting),
        bounds: Vec::new(),
        others: vec![Other {
            subject: raw(setting),
            bounds: vec![Bound::floor(Rule::AtLeast(0.6))],
        }],
    };
    Setting::publishing().map(comparison).collect()
}

/// One transaction for each batch on one connection.
fn raw(setting: Setting) -> Subject {
    Subject {
        peer: "raw",
        setting,
        measure: Box::new(move |effort| {
            let file = File::make(effort)?;
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
            Ok(Measured::of(events, took).counted(&file.published(events)?))
        }),
    }
}
