//! Handling what is stored already, with `listen`, acknowledged by the library, nothing tuned.

use std::time::Instant;

use event_channels::Durability;

use super::file::File;
use super::raw::{Raw, connect};
use crate::case::{Bound, Comparison, Metric, Other, Rule, SMALL, Setting, Subject};
use crate::measured::{Measured, Tally};
use crate::ours::drain::{events, ours};
use crate::place::{Place as _, Tables as _};

/// How many events the raw limit claims and acknowledges at once.
pub(super) const RAW_BATCH: i64 = 100;

pub(super) fn comparisons() -> Vec<Comparison> {
    Setting::consuming()
        .map(one)
        .chain(Setting::consuming().map(four))
        .collect()
}

fn one(setting: Setting) -> Comparison {
    Comparison {
        case: "drain_1consumer",
        by: Metric::PerSecond,
        standard: setting.payload_bytes == SMALL,
        ours: ours::<File>(setting, 1),
        bounds: Vec::new(),
        others: vec![Other {
            subject: raw(setting),
            bounds: vec![
                Bound::floor(Rule::AtLeast(0.5)),
                Bound::goal(Rule::AtLeast(0.7)),
            ],
        }],
    }
}

fn four(setting: Setting) -> Comparison {
    Comparison {
        case: "drain_4consumer",
        by: Metric::PerSecond,
        standard: setting.payload_bytes == SMALL && !setting.retention.is_zero(),
        ours: ours::<File>(setting, 4),
        bounds: Vec::new(),
        others: vec![Other {
            subject: Subject {
                peer: "one consumer",
                ..ours::<File>(setting, 1)
            },
            bounds: vec![Bound::floor(Rule::AtLeast(0.85))],
        }],
    }
}

/// One connection: a hundred events claimed, then acknowledged in one transaction.
fn raw(setting: Setting) -> Subject {
    Subject {
        peer: "raw claim 100, ack 100",
        setting,
        measure: Box::new(move |effort| {
            let file = File::make(effort)?;
            let events = events(&setting, effort);
            file.fill(events, setting.payload_bytes)?;
            // As in the library, claims and acknowledgements are not flushed.
            let connection = connect(&file.path(), Durability::Process)?;
            let mut raw = Raw::prepare(&connection)?;
            let tally = Tally::new(events);
            let mut held = Vec::new();
            let begun = Instant::now();
            loop {
                held.clear();
                raw.claim(RAW_BATCH, &mut held)?;
                if held.is_empty() {
                    break;
                }
                held.iter().for_each(|held| tally.note(held.number));
                raw.ack_all(&held, setting.retention)?;
            }
            let took = begun.elapsed();
            file.check_all_acked()?;
            Ok(Measured::of(events, took).counted(&tally))
        }),
    }
}
