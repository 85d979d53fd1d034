//! One caller that publishes one event after the other, while a bare connection counts them.

use super::bare::{Sender, text};
use super::database::Counted;
use crate::case::{Bound, Comparison, Metric, Other, Rule, Setting, Subject};
use crate::measured::{Laps, Measured};
use crate::ours::publish_single::{events, ours};
use crate::payload::Payloads;
use crate::place::Place as _;
use crate::runtime::block_on;

pub(super) fn comparisons() -> Vec<Comparison> {
    super::settings().map(comparison).collect()
}

fn comparison(setting: Setting) -> Comparison {
    Comparison {
        case: "publish_single",
        by: Metric::PerSecond,
        standard: true,
        ours: ours::<Counted>(setting),
        bounds: Vec::new(),
        others: vec![Other {
            subject: bare(setting),
            bounds: vec![Bound::floor(Rule::AtLeast(0.9))],
        }],
    }
}

/// One connection, one prepared `pg_notify` after the other.
fn bare(setting: Setting) -> Subject {
    Subject {
        peer: "bare NOTIFY",
        setting,
        measure: Box::new(move |effort| {
            let place = Counted::make(effort)?;
            let (url, events) = (place.url(), events(&setting, effort));
            let payloads = Payloads::of(setting.payload_bytes);
            let laps = block_on(async move {
                let sender = Sender::connect(&url).await?;
                let mut laps = Laps::start(events);
                for number in 0..events {
                    sender.one(&text(&payloads, number)).await?;
                    laps.lap();
                }
                Ok(laps)
            })?;
            Ok(Measured::laps(laps).counted(&place.stored(events)?))
        }),
    }
}
