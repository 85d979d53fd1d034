//! Handling what is stored already, with `listen`, acknowledged by the library, nothing tuned;
//! also while a transaction keeps the server from ever cleaning up.

use std::time::{Duration, Instant};

use super::beside::{Pin, With};
use super::place::Database;
use super::raw::Raw;
use super::{POLLED, setting};
use crate::case::{Bound, Comparison, Metric, Other, Rule, Setting, Subject};
use crate::measured::{Measured, Tally};
use crate::ours::drain::{events, ours};
use crate::place::{Place as _, Tables as _};
use crate::runtime::block_on;

/// How many events the raw limit claims and acknowledges at once.
const RAW_BATCH: i64 = 100;

pub(super) fn comparisons() -> Vec<Comparison> {
    let kept = setting(POLLED);
    let deleted = Setting {
        retention: Duration::ZERO,
        ..kept
    };
    let of_raw = |consumers, setting| Comparison {
        case: if consumers == 1 {
            "drain_1consumer"
        } else {
            "drain_4consumer"
        },
        by: Metric::PerSecond,
        standard: true,
        ours: ours::<Database>(setting, consumers),
        bounds: Vec::new(),
        others: vec![Other {
            subject: raw(setting),
            bounds: Vec::new(),
        }],
    };
    vec![
        of_raw(1, deleted),
        of_raw(1, kept),
        of_raw(4, deleted),
        of_raw(4, kept),
        Comparison {
            case: "drain_kept",
            by: Metric::PerSecond,
            standard: true,
            ours: ours::<Database>(kept, 1),
            bounds: Vec::new(),
            others: vec![Other {
                subject: Subject {
                    peer: "deleted on ack",
                    ..ours::<Database>(deleted, 1)
                },
                bounds: vec![Bound::floor(Rule::AtLeast(0.6))],
            }],
        },
        Comparison {
            case: "drain_pinned_xmin",
            by: Metric::PerSecond,
            standard: true,
            ours: ours::<With<Pin>>(deleted, 1),
            bounds: Vec::new(),
            others: vec![Other {
                subject: Subject {
                    peer: "not pinned",
                    ..ours::<Database>(deleted, 1)
                },
                bounds: vec![Bound::floor(Rule::AtLeast(0.8))],
            }],
        },
    ]
}

/// One connection: a hundred events claimed, then acknowledged in one transaction.
fn raw(setting: Setting) -> Subject {
    Subject {
        peer: "raw claim 100, ack 100",
        setting,
        measure: Box::new(move |effort| {
            let place = Database::make(effort)?;
            let events = events(&setting, effort);
            place.fill(events, setting.payload_bytes)?;
            let (url, keep) = (place.url(), !setting.retention.is_zero());
            let (tally, took) = block_on(async move {
                let mut raw = Raw::consumer(&url).await?;
                let tally = Tally::new(events);
                let begun = Instant::now();
                loop {
                    let held = raw.claim(RAW_BATCH).await?;
                    if held.ids.is_empty() {
                        break;
                    }
                    held.events
                        .iter()
                        .for_each(|(number, _)| tally.note(*number));
                    raw.ack(&held, keep).await?;
                }
                Ok((tally, begun.elapsed()))
            })?;
            place.check_all_acked()?;
            Ok(Measured::of(events, took).counted(&tally))
        }),
    }
}
