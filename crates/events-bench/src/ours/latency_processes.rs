//! How long an event is on its way from one process to another.

use event_channels::{EventChannel, blocking};

use super::latency::{INTERVAL, events, paced};
use crate::case::{Api, Effort, OURS, Result, Setting, Subject};
use crate::measured::{Measured, Tally};
use crate::payload::Payloads;
use crate::place::{CHANNEL, Tables};
use crate::process::Consumer;
use crate::runtime::block_on;

pub(crate) fn ours<P: Tables>(setting: Setting) -> Subject {
    Subject {
        peer: OURS,
        setting,
        measure: Box::new(move |effort| {
            let place = P::make(effort)?;
            let mut consumer = Consumer::open(&place, &setting)?;
            consumer.start()?;
            consumer.listens()?;
            publish(&place, setting, effort)?;
            place.wait_until_acked()?;
            let tally = Tally::new(events(effort));
            let mut times = Vec::new();
            for arrival in consumer.stop()? {
                tally.note(arrival.number);
                times.push(arrival.after);
            }
            Ok(Measured::each(times).counted(&tally))
        }),
    }
}

fn publish(place: &impl Tables, setting: Setting, effort: &Effort) -> Result<()> {
    let config = place.config(&setting)?;
    let payloads = Payloads::of(setting.payload_bytes);
    let events = events(effort);
    match setting.api {
        Api::Async => block_on(async move {
            let channel = EventChannel::open(config).await?;
            let mut due = tokio::time::Instant::now();
            for number in 0..events {
                tokio::time::sleep_until(due).await;
                channel.publish(CHANNEL, payloads.get(number)).await?;
                due += INTERVAL;
            }
            channel.shutdown().await?;
            Ok(())
        }),
        Api::Blocking => {
            let channel = blocking::EventChannel::open(config)?;
            paced(events, |number| {
                channel.publish(CHANNEL, payloads.get(number))?;
                Ok(())
            })?;
            channel.shutdown()?;
            Ok(())
        }
    }
}
