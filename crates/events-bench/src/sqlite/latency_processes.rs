//! How long an event is on its way from one process to another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use event_channels::Durability;

use super::file::File;
use super::latency::{settings, take_all};
use super::raw::{Raw, connect};
use crate::case::{Comparison, Metric, Other, Result, Setting, Subject};
use crate::measured::{Measured, Tally};
use crate::ours::latency::{events, paced};
use crate::ours::latency_processes::ours;
use crate::payload::Payloads;
use crate::place::Place as _;

const CASE: &str = "latency_50ps_processes";
const POLL: Duration = Duration::from_millis(1);

pub(super) fn comparisons() -> Vec<Comparison> {
    settings()
        .map(|setting| Comparison {
            case: CASE,
            by: Metric::Median,
            standard: true,
            ours: ours::<File>(setting),
            bounds: Vec::new(),
            others: vec![Other {
                subject: data_version(setting),
                bounds: Vec::new(),
            }],
        })
        .collect()
}

/// What SQLite offers by itself: a look each millisecond whether another connection has committed.
fn data_version(setting: Setting) -> Subject {
    Subject {
        peer: "data_version, 1 ms",
        setting,
        measure: Box::new(move |effort| {
            let file = File::make(effort)?;
            let events = events(effort);
            let payloads = Payloads::of(setting.payload_bytes);
            let connection = connect(&file.path(), setting.durability)?;
            let mut raw = Raw::prepare(&connection)?;
            let tally = Tally::new(events);
            let failed = AtomicBool::new(false);
            let times = thread::scope(|scope| {
                let consumer = scope.spawn(|| poll(&file, &tally, events, &failed));
                let published = paced(events, |number| raw.insert(&payloads.text(number)));
                failed.store(published.is_err(), Ordering::Release);
                published?;
                consumer.join().expect("a consumer does not panic")
            })?;
            Ok(Measured::each(times).counted(&tally))
        }),
    }
}

fn poll(file: &File, tally: &Tally, events: usize, failed: &AtomicBool) -> Result<Vec<Duration>> {
    let connection = connect(&file.path(), Durability::Process)?;
    let mut raw = Raw::prepare(&connection)?;
    let mut version = connection.prepare("PRAGMA data_version")?;
    let mut known = None;
    let mut times = Vec::new();
    while times.len() < events && !failed.load(Ordering::Acquire) {
        let now: i64 = version.query_row([], |row| row.get(0))?;
        if known == Some(now) {
            thread::sleep(POLL);
            continue;
        }
        known = Some(now);
        take_all(&mut raw, &mut times, tally)?;
    }
    Ok(times)
}
