//! One caller that publishes one event after the other.

use event_channels::Durability;

use super::file::File;
use super::hop::Hop;
use super::raw::{Raw, connect};
use crate::case::{Api, Bound, Comparison, Metric, Other, Rule, SMALL, Setting, Subject};
use crate::measured::{Laps, Measured};
use crate::ours::publish_single::{events, ours};
use crate::payload::Payloads;
use crate::place::{Counting as _, Place as _};
use crate::runtime::block_on;

const CASE: &str = "publish_single";

pub(super) fn comparisons() -> Vec<Comparison> {
    Setting::publishing().map(comparison).collect()
}

fn comparison(setting: Setting) -> Comparison {
    let flushed = setting.durability == Durability::Power;
    let of_raw = match (setting.api, flushed) {
        (Api::Blocking, false) => vec![Bound::floor(Rule::AtLeast(0.65))],
        (Api::Blocking, true) => vec![Bound::floor(Rule::AtLeast(0.90))],
        (Api::Async, false) => Vec::new(),
        (Api::Async, true) => vec![Bound::floor(Rule::AtLeast(0.70))],
    };
    let mut others = vec![Other {
        subject: raw(setting),
        bounds: of_raw,
    }];
    if setting.api == Api::Async {
        others.push(Other {
            subject: hop(setting),
            bounds: vec![Bound::floor(Rule::AtLeast(0.8))],
        });
    }
    Comparison {
        case: CASE,
        by: Metric::PerSecond,
        standard: setting.payload_bytes == SMALL,
        ours: ours::<File>(setting),
        bounds: Vec::new(),
        others,
    }
}

/// One connection, one insert after the other, each committed by itself.
pub(super) fn raw(setting: Setting) -> Subject {
    Subject {
        peer: "raw",
        setting,
        measure: Box::new(move |effort| {
            let file = File::make(effort)?;
            let events = events(&setting, effort);
            let payloads = Payloads::of(setting.payload_bytes);
            let connection = connect(&file.path(), setting.durability)?;
            let mut raw = Raw::prepare(&connection)?;
            let mut laps = Laps::start(events);
            for number in 0..events {
                raw.insert(&payloads.text(number))?;
                laps.lap();
            }
            Ok(Measured::laps(laps).counted(&file.published(events)?))
        }),
    }
}

/// The same insert on another thread, awaited.
fn hop(setting: Setting) -> Subject {
    Subject {
        peer: "bare hop",
        setting,
        measure: Box::new(move |effort| {
            let file = File::make(effort)?;
            let events = events(&setting, effort);
            let payloads = Payloads::of(setting.payload_bytes);
            let hop = Hop::start(&file.path(), setting.durability, setting.retention);
            let laps = block_on(async move {
                let mut laps = Laps::start(events);
                for number in 0..events {
                    hop.insert(payloads.text(number)).await?;
                    laps.lap();
                }
                Ok(laps)
            })?;
            Ok(Measured::laps(laps).counted(&file.published(events)?))
        }),
    }
}
