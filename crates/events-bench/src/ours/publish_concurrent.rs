//! Many callers that publish at the same time.

use std::thread;
use std::time::Instant;

use event_channels::{EventChannel, blocking};

use crate::case::{Api, Effort, OURS, Result, Setting, Subject};
use crate::measured::Measured;
use crate::payload::Payloads;
use crate::place::{CHANNEL, Counting};
use crate::runtime::block_on;

/// How many events they publish together.
pub(crate) fn events(effort: &Effort, callers: usize) -> usize {
    effort.events(25_600, callers)
}

/// That many callers, tasks or threads.
pub(crate) fn ours<P: Counting>(setting: Setting, callers: usize) -> Subject {
    Subject {
        peer: OURS,
        setting,
        measure: Box::new(move |effort| match setting.api {
            Api::Async => with_tasks::<P>(setting, callers, effort),
            Api::Blocking => with_threads::<P>(setting, callers, effort),
        }),
    }
}

fn with_tasks<P: Counting>(setting: Setting, callers: usize, effort: &Effort) -> Result<Measured> {
    let place = P::make(effort)?;
    let events = events(effort, callers);
    let config = place.config(&setting)?;
    let took = block_on(async move {
        let channel = EventChannel::open(config).await?;
        let begun = Instant::now();
        let running: Vec<_> = (0..callers)
            .map(|caller| {
                let channel = channel.clone();
                tokio::spawn(async move {
                    let payloads = Payloads::of(setting.payload_bytes);
                    for number in (caller..events).step_by(callers) {
                        channel.publish(CHANNEL, payloads.get(number)).await?;
                    }
                    Ok::<(), event_channels::Error>(())
                })
            })
            .collect();
        for caller in running {
            caller.await??;
        }
        let took = begun.elapsed();
        channel.shutdown().await?;
        Ok(took)
    })?;
    Ok(Measured::of(events, took).counted(&place.published(events)?))
}

fn with_threads<P: Counting>(
    setting: Setting,
    callers: usize,
    effort: &Effort,
) -> Result<Measured> {
    let place = P::make(effort)?;
    let events = events(effort, callers);
    let channel = blocking::EventChannel::open(place.config(&setting)?)?;
    let begun = Instant::now();
    thread::scope(|scope| {
        let running: Vec<_> = (0..callers)
            .map(|caller| {
                let channel = &channel;
                scope.spawn(move || {
                    let payloads = Payloads::of(setting.payload_bytes);
                    for number in (caller..events).step_by(callers) {
                        channel.publish(CHANNEL, payloads.get(number))?;
                    }
                    Ok::<(), event_channels::Error>(())
                })
            })
            .collect();
        running
            .into_iter()
            .try_for_each(|caller| caller.join().expect("a caller does not panic"))
    })?;
    let took = begun.elapsed();
    channel.shutdown()?;
    Ok(Measured::of(events, took).counted(&place.published(events)?))
}
