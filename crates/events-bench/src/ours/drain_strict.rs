//! One event at a time: the next is asked for when the acknowledgement of the last is committed.

use std::time::{Duration, Instant};

use event_channels::{EventChannel, blocking};

use super::handled::Handled;
use crate::case::{Api, Effort, OURS, Result, Setting, Subject};
use crate::measured::Measured;
use crate::place::{CHANNEL, Tables};
use crate::runtime::block_on;

pub(crate) fn events(effort: &Effort) -> usize {
    effort.events(5_000, 1)
}

pub(crate) fn ours<P: Tables>(setting: Setting) -> Subject {
    Subject {
        peer: OURS,
        setting,
        measure: Box::new(move |effort| {
            let place = P::make(effort)?;
            let events = events(effort);
            place.fill(events, setting.payload_bytes)?;
            let config = place.config(&setting)?;
            let (took, handled) = match setting.api {
                Api::Blocking => {
                    let channel = blocking::EventChannel::open(config)?;
                    let drained = one_by_one(&channel, events)?;
                    channel.shutdown()?;
                    drained
                }
                Api::Async => block_on(async move {
                    let channel = EventChannel::open(config).await?;
                    let drained = one_by_one_async(&channel, events).await?;
                    channel.shutdown().await?;
                    Ok(drained)
                })?,
            };
            place.check_all_acked()?;
            Ok(Measured::of(events, took).counted(&handled.tally))
        }),
    }
}

fn one_by_one(channel: &blocking::EventChannel, events: usize) -> Result<(Duration, Handled)> {
    let handled = Handled::new(events);
    let begun = Instant::now();
    for message in channel.iter_events(CHANNEL)?.take(events) {
        let message = message?;
        handled.note(&message);
        channel.ack(&message)?;
    }
    Ok((begun.elapsed(), handled))
}

async fn one_by_one_async(channel: &EventChannel, events: usize) -> Result<(Duration, Handled)> {
    let handled = Handled::new(events);
    let begun = Instant::now();
    let mut stream = channel.iter_events(CHANNEL).await?;
    for _ in 0..events {
        let message = stream.next().await.ok_or("the stream ended")??;
        handled.note(&message);
        channel.ack(&message).await?;
    }
    Ok((begun.elapsed(), handled))
}
