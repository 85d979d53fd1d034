//! What a process costs that listens while nothing happens.

use std::thread;
use std::time::{Duration, Instant};

use crate::case::{OURS, Setting, Subject};
use crate::measured::Measured;
use crate::place::Place;
use crate::process::Consumer;

/// Opening and subscribing are not part of it.
const SETTLE: Duration = Duration::from_secs(1);

pub(crate) fn ours<P: Place>(setting: Setting) -> Subject {
    Subject {
        peer: OURS,
        setting,
        measure: Box::new(move |effort| {
            let place = P::make(effort)?;
            let mut consumer = Consumer::open(&place, &setting)?;
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
