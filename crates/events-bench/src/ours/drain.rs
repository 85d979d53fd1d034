//! Handling what is stored already, with `listen`, acknowledged by the library, nothing tuned.
//!
//! It ends when every event was handled and acknowledged: stopping a listener waits for that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_channels::{EventChannel, ListenOptions, blocking};

use super::handled::Handled;
use crate::case::{Api, Effort, OURS, Result, Setting, Subject};
use crate::measured::Measured;
use crate::place::{CHANNEL, Tables};
use crate::runtime::block_on;

pub(crate) fn events(setting: &Setting, effort: &Effort) -> usize {
    let full = if setting.payload_bytes > 1024 {
        10_000
    } else {
        50_000
    };
    effort.events(full, 1)
}

/// That many listeners with the default options.
pub(crate) fn ours<P: Tables>(setting: Setting, consumers: usize) -> Subject {
    Subject {
        peer: OURS,
        setting,
        measure: Box::new(move |effort| {
            let place = P::make(effort)?;
            let events = events(&setting, effort);
            place.fill(events, setting.payload_bytes)?;
            let handled = Arc::new(Handled::new(events));
            let took = match setting.api {
                Api::Async => with_tasks(&place, setting, consumers, &handled)?,
                Api::Blocking => with_threads(&place, setting, consumers, &handled)?,
            };
            place.check_all_acked()?;
            Ok(Measured::of(events, took).counted(&handled.tally))
        }),
    }
}

fn with_tasks(
    place: &impl Tables,
    setting: Setting,
    consumers: usize,
    handled: &Arc<Handled>,
) -> Result<Duration> {
    let config = place.config(&setting)?;
    let handled = Arc::clone(handled);
    block_on(async move {
        let channel = EventChannel::open(config).await?;
        let begun = Instant::now();
        let mut listeners = Vec::new();
        for _ in 0..consumers {
            let handled = Arc::clone(&handled);
            let handler = move |message| {
                handled.note(&message);
                std::future::ready(Ok(()))
            };
            let options = ListenOptions::new();
            listeners.push(channel.listen(CHANNEL, options, handler).await?);
        }
        handled.all().await;
        for listener in listeners {
            listener.stop().await;
        }
        let took = begun.elapsed();
        channel.shutdown().await?;
        Ok(took)
    })
}

fn with_threads(
    place: &impl Tables,
    setting: Setting,
    consumers: usize,
    handled: &Arc<Handled>,
) -> Result<Duration> {
    let channel = blocking::EventChannel::open(place.config(&setting)?)?;
    let begun = Instant::now();
    let mut listeners = Vec::new();
    for _ in 0..consumers {
        let handled = Arc::clone(handled);
        let handler = move |message| {
            handled.note(&message);
            Ok(())
        };
        listeners.push(channel.listen(CHANNEL, ListenOptions::new(), handler)?);
    }
    handled.wait_for_all();
    for listener in listeners {
        listener.stop()?;
    }
    let took = begun.elapsed();
    channel.shutdown()?;
    Ok(took)
}
