//! Handling what is stored already, with a listener in each of four processes.

use std::time::{Duration, Instant};

use super::drain;
use super::file::File;
use crate::case::{Api, Comparison, Metric, OURS, Other, Result, SMALL, Setting, Subject};
use crate::measured::{Measured, Tally};
use crate::process::Consumer;

const CASE: &str = "drain_4process";
const PROCESSES: usize = 4;

pub(super) fn comparisons() -> Vec<Comparison> {
    let comparison = |api| {
        let setting = Setting {
            api,
            ..Setting::default()
        };
        Comparison {
            case: CASE,
            by: Metric::PerSecond,
            standard: setting.payload_bytes == SMALL,
            ours: ours(setting),
            bounds: Vec::new(),
            others: vec![Other {
                subject: Subject {
                    peer: "one consumer",
                    ..drain::ours(setting, 1)
                },
                bounds: Vec::new(),
            }],
        }
    };
    [Api::Blocking, Api::Async].map(comparison).into()
}

fn ours(setting: Setting) -> Subject {
    Subject {
        peer: OURS,
        setting,
        measure: Box::new(move |effort| {
            let file = File::new(effort)?;
            let events = effort.events(100_000, PROCESSES);
            file.fill(events, setting.payload_bytes)?;
            let (took, tally) = drain(&file, setting, events)?;
            file.check_all_acked()?;
            Ok(Measured::of(events, took).counted(&tally))
        }),
    }
}

fn drain(file: &File, setting: Setting, events: usize) -> Result<(Duration, Tally)> {
    let mut consumers = (0..PROCESSES)
        .map(|_| Consumer::open(&file.url(), setting.api))
        .collect::<Result<Vec<_>>>()?;
    let begun = Instant::now();
    consumers.iter_mut().try_for_each(Consumer::start)?;
    file.wait_until_acked()?;
    let took = begun.elapsed();
    let tally = Tally::new(events);
    for mut consumer in consumers {
        consumer.listens()?;
        for arrival in consumer.stop()? {
            tally.note(arrival.number);
        }
    }
    Ok((took, tally))
}
