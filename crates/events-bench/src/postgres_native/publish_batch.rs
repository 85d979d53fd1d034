//! One caller that publishes a hundred events with each call, while a bare connection counts them.

use std::time::Instant;

use super::bare::{Sender, text};
use super::database::Counted;
use crate::case::{Bound, Comparison, Metric, Other, Rule, Setting, Subject};
use crate::measured::Measured;
use crate::ours::publish_batch::{BATCH, events, ours};
use crate::payload::Payloads;
use crate::place::Place as _;
use crate::runtime::block_on;

pub(super) fn comparisons() -> Vec<Comparison> {
    super::settings().map(comparison).collect()
}

fn comparison(setting: Setting) -> Comparison {
    Comparison {
        case: "publish_batch100",
        by: Metric::PerSecond,
        standard: true,
        ours: ours::<Counted>(setting),
        bounds: Vec::new(),
        others: vec![Other {
            subject: bare(setting),
            bounds: vec![Bound::floor(Rule::AtLeast(0.7))],
        }],
    }
}

/// One connection, one prepared statement for each batch.
fn bare(setting: Setting) -> Subject {
    Subject {
        peer: "bare NOTIFY",
        setting,
        measure: Box::new(move |effort| {
            let place = Counted::make(effort)?;
            let (url, events) = (place.url(), events(&setting, effort));
            let payloads = Payloads::of(setting.payload_bytes);
            let took = block_on(async move {
                let sender = Sender::connect(&url).await?;
                let begun = Instant::now();
                for first in (0..events).step_by(BATCH) {
                    let numbers = first..first + BATCH;
                    let batch: Vec<_> = numbers.map(|number| text(&payloads, number)).collect();
                    sender.many(&batch).await?;
                }
                Ok(begun.elapsed())
            })?;
            Ok(Measured::of(events, took).counted(&place.stored(events)?))
        }),
    }
}
