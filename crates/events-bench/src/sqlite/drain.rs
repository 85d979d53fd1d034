//! Handling what is stored already, with `listen`, acknowledged by the library, nothing tuned.
//!
//! It ends when every event was handled and acknowledged: stopping a listener waits for that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_channels::{Durability, EventChannel, ListenOptions, blocking};

use super::file::File;
use super::handled::Handled;
use super::raw::{CHANNEL, Raw, connect};
use super::runtime::block_on;
use crate::case::{
    Api, Bound, Comparison, Effort, Metric, OURS, Other, Result, Rule, SMALL, Setting, Subject,
};
use crate::measured::{Measured, Tally};

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
        ours: ours(setting, 1),
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
        ours: ours(setting, 4),
        bounds: Vec::new(),
        others: vec![Other {
            subject: Subject {
                peer: "one consumer",
                ..ours(setting, 1)
            },
            bounds: vec![Bound::floor(Rule::AtLeast(0.85))],
        }],
    }
}

pub(super) fn events(setting: &Setting, effort: &Effort) -> usize {
    let full = if setting.payload_bytes > 1024 {
        10_000
    } else {
        50_000
    };
    effort.events(full, 1)
}

pub(super) fn ours(setting: Setting, consumers: usize) -> Subject {
    Subject {
        peer: OURS,
        setting,
        measure: Box::new(move |effort| {
            let file = File::new(effort)?;
            let events = events(&setting, effort);
            file.fill(events, setting.payload_bytes)?;
            let handled = Arc::new(Handled::new(events));
            let took = match setting.api {
                Api::Async => with_tasks(&file, setting, consumers, &handled)?,
                Api::Blocking => with_threads(&file, setting, consumers, &handled)?,
            };
            file.check_all_acked()?;
            Ok(Measured::of(events, took).counted(&handled.tally))
        }),
    }
}

fn with_tasks(
    file: &File,
    setting: Setting,
    consumers: usize,
    handled: &Arc<Handled>,
) -> Result<Duration> {
    let config = file.config(&setting)?;
    let handled = Arc::clone(handled);
    block_on(async move {
        let channel = EventChannel::open(config).await?;
        let begun = Instant::now();
        let mut listeners = Vec::new();
        for _ in 0..consumers {
            let handled = Arc::clone(&handled);
            let handler = move |message| {
                handled.note(&message);
                std::future::ready(Ok(()))
            };
            let options = ListenOptions::new();
            listeners.push(channel.listen(CHANNEL, options, handler).await?);
        }
        handled.all().await;
        for listener in listeners {
            listener.stop().await;
        }
        let took = begun.elapsed();
        channel.shutdown().await?;
        Ok(took)
    })
}

fn with_threads(
    file: &File,
    setting: Setting,
    consumers: usize,
    handled: &Arc<Handled>,
) -> Result<Duration> {
    let channel = blocking::EventChannel::open(file.config(&setting)?)?;
    let begun = Instant::now();
    let mut listeners = Vec::new();
    for _ in 0..consumers {
        let handled = Arc::clone(handled);
        let handler = move |message| {
            handled.note(&message);
            Ok(())
        };
        listeners.push(channel.listen(CHANNEL, ListenOptions::new(), handler)?);
    }
    handled.wait_for_all();
    for listener in listeners {
        listener.stop()?;
    }
    let took = begun.elapsed();
    channel.shutdown()?;
    Ok(took)
}

/// One connection: a hundred events claimed, then acknowledged in one transaction.
fn raw(setting: Setting) -> Subject {
    Subject {
        peer: "raw claim 100, ack 100",
        setting,
        measure: Box::new(move |effort| {
            let file = File::new(effort)?;
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
