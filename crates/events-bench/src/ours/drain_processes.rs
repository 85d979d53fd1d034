//! Handling what is stored already, with a listener in each of several processes.

use std::time::{Duration, Instant};

use crate::case::{OURS, Result, Setting, Subject};
use crate::measured::{Measured, Tally};
use crate::place::Tables;
use crate::process::Consumer;

/// That many processes.
pub(crate) fn ours<P: Tables>(setting: Setting, processes: usize) -> Subject {
    Subject {
        peer: OURS,
        setting,
        measure: Box::new(move |effort| {
            let place = P::make(effort)?;
            let events = effort.events(100_000, processes);
            place.fill(events, setting.payload_bytes)?;
            let (took, tally) = drain(&place, setting, processes, events)?;
            place.check_all_acked()?;
            Ok(Measured::of(events, took).counted(&tally))
        }),
    }
}

fn drain(
    place: &impl Tables,
    setting: Setting,
    processes: usize,
    events: usize,
) -> Result<(Duration, Tally)> {
    let mut consumers = (0..processes)
        .map(|_| Consumer::open(place, &setting))
        .collect::<Result<Vec<_>>>()?;
    let begun = Instant::now();
    consumers.iter_mut().try_for_each(Consumer::start)?;
    place.wait_until_acked()?;
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
