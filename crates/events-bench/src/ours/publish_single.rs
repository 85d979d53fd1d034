//! One caller that publishes one event after the other.

use event_channels::{Durability, EventChannel, blocking};

use crate::case::{Api, Effort, OURS, Setting, Subject};
use crate::measured::{Laps, Measured};
use crate::payload::Payloads;
use crate::place::{CHANNEL, Counting};
use crate::runtime::block_on;

pub(crate) fn events(setting: &Setting, effort: &Effort) -> usize {
    let full = match setting.durability {
        Durability::Process => 20_000,
        Durability::Power => 3_000,
    };
    effort.events(full, 1)
}

pub(crate) fn ours<P: Counting>(setting: Setting) -> Subject {
    Subject {
        peer: OURS,
        setting,
        measure: Box::new(move |effort| {
            let place = P::make(effort)?;
            let events = events(&setting, effort);
            let payloads = Payloads::of(setting.payload_bytes);
            let config = place.config(&setting)?;
            let laps = match setting.api {
                Api::Blocking => {
                    let channel = blocking::EventChannel::open(config)?;
                    let mut laps = Laps::start(events);
                    for number in 0..events {
                        channel.publish(CHANNEL, payloads.get(number))?;
                        laps.lap();
                    }
                    channel.shutdown()?;
                    laps
                }
                Api::Async => block_on(async move {
                    let channel = EventChannel::open(config).await?;
                    let mut laps = Laps::start(events);
                    for number in 0..events {
                        channel.publish(CHANNEL, payloads.get(number)).await?;
                        laps.lap();
                    }
                    channel.shutdown().await?;
                    Ok(laps)
                })?,
            };
            Ok(Measured::laps(laps).counted(&place.published(events)?))
        }),
    }
}
