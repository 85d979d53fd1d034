//! What a claim costs when many rows stand beside the one that is wanted.

use std::time::Instant;

use event_channels::{IterOptions, NewEvent, blocking};

use super::file::{File, State};
use crate::case::{
    Api, Bound, Comparison, Effort, Metric, OURS, Other, Result, Rule, Setting, Subject,
};
use crate::measured::{Measured, Tally};
use crate::payload::{Payloads, read_value};
use crate::place::{CHANNEL, Place as _};

const FEW: usize = 1_000;
const MANY: usize = 1_000_000;
/// How many claims are timed.
const CLAIMS: usize = 500;

pub(super) fn comparisons() -> Vec<Comparison> {
    [
        ("backlog_acked", State::Acked),
        ("backlog_leased", State::Leased),
        ("backlog_delayed", State::Delayed),
        ("backlog_ready", State::Ready),
    ]
    .map(|(case, state)| Comparison {
        case,
        by: Metric::Median,
        standard: true,
        ours: claims(state, MANY, OURS),
        bounds: Vec::new(),
        others: vec![Other {
            subject: claims(state, FEW, "1,000 rows"),
            bounds: vec![Bound::floor(Rule::AtMost(1.5))],
        }],
    })
    .into()
}

/// Times single claims with so many rows of that state in the same queue.
fn claims(state: State, rows: usize, peer: &'static str) -> Subject {
    let setting = Setting {
        api: Api::Blocking,
        ..Setting::default()
    };
    // Filled once; the few rows that a round adds change nothing.
    let mut filled = None;
    Subject {
        peer,
        setting,
        measure: Box::new(move |effort| {
            if filled.is_none() {
                let file = File::make(effort)?;
                file.fill_state(effort.events(rows, FEW.min(rows) / 10), state)?;
                filled = Some(file);
            }
            let file = filled.as_ref().ok_or("it was just filled")?;
            timed_claims(file, &setting, state, effort)
        }),
    }
}

fn timed_claims(file: &File, setting: &Setting, state: State, effort: &Effort) -> Result<Measured> {
    let claims = effort.events(CLAIMS, 1);
    let payloads = Payloads::of(setting.payload_bytes);
    let channel = blocking::EventChannel::open(file.config(setting)?)?;
    let tally = Tally::new(claims);
    // As many as will be claimed, so that the backlog stays as it is.
    let events = (0..claims).map(|number| NewEvent::new(CHANNEL, payloads.get(number)));
    channel.publish_many(events)?;
    let mut each = Vec::with_capacity(claims);
    let one_at_a_time = IterOptions::new().prefetch(1);
    let mut events = channel.iter_events_with(CHANNEL, one_at_a_time)?;
    for number in 0..claims {
        let begun = Instant::now();
        let message = events.next().ok_or("the iterator ended")??;
        each.push(begun.elapsed());
        // Ready rows of the backlog come first, and have no numbers of their own.
        let told = (state != State::Ready).then(|| read_value(&message.payload));
        tally.note(told.flatten().map_or(number, |(number, _)| number));
        channel.ack(&message)?;
    }
    drop(events);
    channel.shutdown()?;
    Ok(Measured::each(each).counted(&tally))
}
