//! How long an event is on its way in one process, beside the shortest way that two threads have.

use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use event_channels::Durability;

use super::file::File;
use super::raw::{Raw, RawHeld, connect};
use crate::case::{Bound, Comparison, Metric, Other, Result, Rule, Setting, Subject};
use crate::measured::{Measured, Tally};
use crate::ours::latency::{events, ours, paced};
use crate::payload::{Payloads, since};
use crate::place::Place as _;

const CASE: &str = "latency_50ps";

pub(super) fn comparisons() -> Vec<Comparison> {
    settings()
        .map(|setting| Comparison {
            case: CASE,
            by: Metric::Median,
            standard: true,
            ours: ours::<File>(setting),
            bounds: Vec::new(),
            others: vec![Other {
                subject: condvar(setting),
                bounds: vec![Bound::floor(Rule::AtMost(1.4))],
            }],
        })
        .collect()
}

/// Blocking and async, flushed and not.
pub(super) fn settings() -> impl Iterator<Item = Setting> {
    let small = Setting::default().payload_bytes;
    Setting::publishing().filter(move |setting| setting.payload_bytes == small)
}

/// The shortest way that two threads have: insert, notify a condition variable, claim.
fn condvar(setting: Setting) -> Subject {
    Subject {
        peer: "condvar hand-over",
        setting,
        measure: Box::new(move |effort| {
            let file = File::make(effort)?;
            let events = events(effort);
            let bell = (Mutex::new(0_usize), Condvar::new());
            let payloads = Payloads::of(setting.payload_bytes);
            let connection = connect(&file.path(), setting.durability)?;
            let mut raw = Raw::prepare(&connection)?;
            let tally = Tally::new(events);
            let times = thread::scope(|scope| {
                let consumer = scope.spawn(|| consume(&file, &bell, &tally, events));
                paced(events, |number| {
                    raw.insert(&payloads.text(number))?;
                    *bell.0.lock().expect("nobody panicked") += 1;
                    bell.1.notify_one();
                    Ok(())
                })?;
                consumer.join().expect("a consumer does not panic")
            })?;
            Ok(Measured::each(times).counted(&tally))
        }),
    }
}

fn consume(
    file: &File,
    (rung, bell): &(Mutex<usize>, Condvar),
    tally: &Tally,
    events: usize,
) -> Result<Vec<Duration>> {
    let connection = connect(&file.path(), Durability::Process)?;
    let mut raw = Raw::prepare(&connection)?;
    let mut times = Vec::new();
    let mut seen = 0;
    while times.len() < events {
        {
            let mut rung = rung.lock().expect("nobody panicked");
            while *rung == seen {
                rung = bell.wait(rung).expect("nobody panicked");
            }
            seen = *rung;
        }
        take_all(&mut raw, &mut times, tally)?;
    }
    Ok(times)
}

/// Claims and acknowledges one by one until nothing is left.
pub(super) fn take_all(raw: &mut Raw<'_>, times: &mut Vec<Duration>, tally: &Tally) -> Result<()> {
    let mut held: Vec<RawHeld> = Vec::new();
    loop {
        held.clear();
        raw.claim(1, &mut held)?;
        let Some(one) = held.first() else {
            return Ok(());
        };
        times.push(since(one.sent_ns));
        tally.note(one.number);
        raw.ack(one, Setting::default().retention)?;
    }
}
