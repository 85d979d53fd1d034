//! Many callers that publish at the same time: what group commit is for.

use std::thread;
use std::time::Instant;

use event_channels::{Durability, EventChannel, blocking};

use super::file::File;
use super::publish_single;
use super::raw::CHANNEL;
use super::runtime::block_on;
use crate::case::{
    Api, Bound, Comparison, Effort, Metric, OURS, Other, Result, Rule, SMALL, Setting, Subject,
};
use crate::measured::Measured;
use crate::payload::Payloads;

const CASE: &str = "publish_concurrent";
const CALLERS: usize = 64;

pub(super) fn comparisons() -> Vec<Comparison> {
    let comparison = |setting: Setting| Comparison {
        case: CASE,
        by: Metric::PerSecond,
        standard: setting.payload_bytes == SMALL && setting.durability == Durability::Power,
        ours: ours(setting),
        bounds: Vec::new(),
        others: vec![Other {
            // One connection commits its events one by one, however many callers there are.
            subject: publish_single::raw(setting),
            bounds: match setting.durability {
                Durability::Power => vec![Bound::floor(Rule::AtLeast(8.0))],
                Durability::Process => Vec::new(),
            },
        }],
    };
    Setting::publishing().map(comparison).collect()
}

fn ours(setting: Setting) -> Subject {
    Subject {
        peer: OURS,
        setting,
        measure: Box::new(move |effort| {
            let measured = match setting.api {
                Api::Async => with_tasks(setting, effort)?,
                Api::Blocking => with_threads(setting, effort)?,
            };
            Ok(measured)
        }),
    }
}

fn with_tasks(setting: Setting, effort: &Effort) -> Result<Measured> {
    let file = File::new(effort)?;
    let events = effort.events(25_600, CALLERS);
    let config = file.config(&setting)?;
    let took = block_on(async move {
        let channel = EventChannel::open(config).await?;
        let begun = Instant::now();
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let channel = channel.clone();
                tokio::spawn(async move {
                    let payloads = Payloads::of(setting.payload_bytes);
                    for number in (caller..events).step_by(CALLERS) {
                        channel.publish(CHANNEL, payloads.get(number)).await?;
                    }
                    Ok::<(), event_channels::Error>(())
                })
            })
            .collect();
        for caller in callers {
            caller.await??;
        }
        let took = begun.elapsed();
        channel.shutdown().await?;
        Ok(took)
    })?;
    Ok(Measured::of(events, took).counted(&file.stored(events)?))
}

fn with_threads(setting: Setting, effort: &Effort) -> Result<Measured> {
    let file = File::new(effort)?;
    let events = effort.events(25_600, CALLERS);
    let channel = blocking::EventChannel::open(file.config(&setting)?)?;
    let begun = Instant::now();
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let channel = &channel;
                scope.spawn(move || {
                    let payloads = Payloads::of(setting.payload_bytes);
                    for number in (caller..events).step_by(CALLERS) {
                        channel.publish(CHANNEL, payloads.get(number))?;
                    }
                    Ok::<(), event_channels::Error>(())
                })
            })
            .collect();
        callers
            .into_iter()
            .try_for_each(|caller| caller.join().expect("a caller does not panic"))
    })?;
    let took = begun.elapsed();
    channel.shutdown()?;
    Ok(Measured::of(events, took).counted(&file.stored(events)?))
}
