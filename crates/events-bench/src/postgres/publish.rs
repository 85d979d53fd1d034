//! Publishing: one caller, sixteen, a hundred events with each call, and with somebody to wake.

use std::time::Instant;

use event_channels::Durability;

use super::beside::{Waiter, With};
use super::place::Database;
use super::raw::Raw;
use super::{POLLED, WOKEN, setting};
use crate::case::{Bound, Comparison, Metric, Other, Result, Rule, Setting, Subject};
use crate::measured::{Laps, Measured};
use crate::ours::publish_batch::{self, BATCH};
use crate::ours::{publish_concurrent, publish_single};
use crate::payload::Payloads;
use crate::place::{Counting as _, Place as _};
use crate::runtime::block_on;

const CALLERS: usize = 16;

pub(super) fn comparisons() -> Vec<Comparison> {
    let polled = setting(POLLED);
    vec![
        comparison(
            "publish_single",
            publish_single::ours::<Database>(polled),
            single(polled),
            0.85,
        ),
        comparison(
            "publish_concurrent16",
            publish_concurrent::ours::<Database>(polled, CALLERS),
            concurrent(polled),
            1.0,
        ),
        comparison(
            "publish_batch100",
            publish_batch::ours::<Database>(polled),
            batch(polled),
            0.8,
        ),
        with_wake(
            "publish_with_wake",
            publish_single::ours::<With<Waiter>>(setting(WOKEN)),
            publish_single::ours::<Database>(polled),
        ),
        with_wake(
            "publish_with_wake16",
            publish_concurrent::ours::<With<Waiter>>(setting(WOKEN), CALLERS),
            publish_concurrent::ours::<Database>(polled, CALLERS),
        ),
    ]
}

fn comparison(case: &'static str, ours: Subject, raw: Subject, floor: f64) -> Comparison {
    Comparison {
        case,
        by: Metric::PerSecond,
        standard: true,
        ours,
        bounds: Vec::new(),
        others: vec![Other {
            subject: raw,
            bounds: vec![Bound::floor(Rule::AtLeast(floor))],
        }],
    }
}

/// Every publish finds somebody who waits, and notifies; beside it, without wakes.
fn with_wake(case: &'static str, ours: Subject, without: Subject) -> Comparison {
    Comparison {
        case,
        by: Metric::PerSecond,
        standard: true,
        ours,
        bounds: Vec::new(),
        others: vec![Other {
            subject: Subject {
                peer: "without wakes",
                ..without
            },
            bounds: vec![
                Bound::floor(Rule::AtLeast(0.9)),
                Bound::goal(Rule::AtLeast(0.95)),
            ],
        }],
    }
}

/// One connection, one insert after the other, each committed by itself.
fn single(setting: Setting) -> Subject {
    Subject {
        peer: "raw",
        setting,
        measure: Box::new(move |effort| {
            let place = Database::make(effort)?;
            let events = publish_single::events(&setting, effort);
            let (url, payloads) = (place.url(), Payloads::of(setting.payload_bytes));
            let laps = block_on(async move {
                let raw = Raw::connect(&url).await?;
                let mut laps = Laps::start(events);
                for number in 0..events {
                    raw.insert(&payloads.text(number)).await?;
                    laps.lap();
                }
                Ok(laps)
            })?;
            Ok(Measured::laps(laps).counted(&place.published(events)?))
        }),
    }
}

/// As many connections as callers.
fn concurrent(setting: Setting) -> Subject {
    Subject {
        peer: "raw, 16 connections",
        setting,
        measure: Box::new(move |effort| {
            assert_eq!(setting.durability, Durability::Power, "inserts are flushed");
            let place = Database::make(effort)?;
            let events = publish_concurrent::events(effort, CALLERS);
            let url = place.url();
            let took = block_on(async move {
                let mut raws = Vec::new();
                for _ in 0..CALLERS {
                    raws.push(Raw::connect(&url).await?);
                }
                let begun = Instant::now();
                let running: Vec<_> = raws
                    .into_iter()
                    .enumerate()
                    .map(|(caller, raw)| {
                        let numbers = (caller..events).step_by(CALLERS);
                        tokio::spawn(insert_each(raw, numbers, setting.payload_bytes))
                    })
                    .collect();
                for caller in running {
                    caller.await??;
                }
                Ok(begun.elapsed())
            })?;
            Ok(Measured::of(events, took).counted(&place.published(events)?))
        }),
    }
}

async fn insert_each(
    raw: Raw,
    numbers: impl Iterator<Item = usize>,
    payload_bytes: usize,
) -> Result<()> {
    let payloads = Payloads::of(payload_bytes);
    for number in numbers {
        raw.insert(&payloads.text(number)).await?;
    }
    Ok(())
}

/// One statement and transaction for each hundred events.
fn batch(setting: Setting) -> Subject {
    Subject {
        peer: "raw",
        setting,
        measure: Box::new(move |effort| {
            let place = Database::make(effort)?;
            let events = publish_batch::events(&setting, effort);
            let (url, payloads) = (place.url(), Payloads::of(setting.payload_bytes));
            let took = block_on(async move {
                let raw = Raw::connect(&url).await?;
                let begun = Instant::now();
                for first in (0..events).step_by(BATCH) {
                    let numbers = first..first + BATCH;
                    let texts = numbers.map(|number| payloads.text(number)).collect();
                    raw.insert_many(texts).await?;
                }
                Ok(begun.elapsed())
            })?;
            Ok(Measured::of(events, took).counted(&place.published(events)?))
        }),
    }
}
