//! What a process costs that listens while nothing happens.

use std::thread;
use std::time::{Duration, Instant};

use super::file::File;
use crate::case::{Api, Bound, Comparison, Metric, OURS, Rule, Setting, Subject};
use crate::measured::Measured;
use crate::process::Consumer;

/// Opening and subscribing are not part of it.
const SETTLE: Duration = Duration::from_secs(1);

pub(super) fn comparisons() -> Vec<Comparison> {
    [Api::Blocking, Api::Async]
        .map(|api| Comparison {
            case: "idle",
            by: Metric::Cpu,
            standard: true,
            ours: ours(Setting {
                api,
                ..Setting::default()
            }),
            bounds: vec![Bound::floor(Rule::AtMost(0.2))],
            others: Vec::new(),
        })
        .into()
}

fn ours(setting: Setting) -> Subject {
    Subject {
        peer: OURS,
        setting,
        measure: Box::new(move |effort| {
            let file = File::new(effort)?;
            let mut consumer = Consumer::open(&file.url(), setting.api)?;
            consumer.start()?;
            consumer.listens()?;
            thread::sleep(SETTLE.min(effort.idle));
            let (before, begun) = (consumer.cpu_time()?, Instant::now());
            thread::sleep(effort.idle);
            let used = consumer.cpu_time()?.saturating_sub(before);
            let share = used.as_secs_f64() / begun.elapsed().as_secs_f64();
            consumer.stop()?;
            Ok(Measured {
                cpu_percent: Some(share * 100.0),
                ..Measured::default()
            })
        }),
    }
}
