//! How fast events are received that all arrive at once: one transaction sends them, and the time
//! is that from its commit to the last handler.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_channels::{EventChannel, ListenOptions, blocking};
use tokio::sync::oneshot;

use super::bare::{Sender, receive, text};
use super::database::{config, new_database};
use crate::case::{
    Api, Bound, Comparison, Effort, Metric, OURS, Other, Result, Rule, Setting, Subject,
};
use crate::measured::{Measured, Tally};
use crate::ours::handled::Handled;
use crate::payload::{Payloads, read};
use crate::place::CHANNEL;
use crate::runtime::block_on;

/// How many events one statement of the transaction sends.
const BATCH: usize = 1000;

pub(super) fn comparisons() -> Vec<Comparison> {
    super::settings().map(comparison).collect()
}

fn comparison(setting: Setting) -> Comparison {
    Comparison {
        case: "receive",
        by: Metric::PerSecond,
        standard: true,
        ours: ours(setting),
        bounds: Vec::new(),
        others: vec![Other {
            subject: bare(setting),
            bounds: vec![Bound::floor(Rule::AtLeast(0.6))],
        }],
    }
}

fn events(effort: &Effort) -> usize {
    effort.events(50_000, BATCH)
}

/// Everything is sent and nothing arrives yet.
async fn prepared(url: &str, events: usize, payload_bytes: usize) -> Result<Sender> {
    let payloads = Payloads::of(payload_bytes);
    let sender = Sender::connect(url).await?;
    sender.run("BEGIN").await?;
    for first in (0..events).step_by(BATCH) {
        let numbers = first..first + BATCH;
        let batch: Vec<_> = numbers.map(|number| text(&payloads, number)).collect();
        sender.many(&batch).await?;
    }
    Ok(sender)
}

/// One listener, whose handler only counts.
fn ours(setting: Setting) -> Subject {
    Subject {
        peer: OURS,
        setting,
        measure: Box::new(move |effort| {
            let (url, events) = (new_database()?, events(effort));
            let handled = Arc::new(Handled::new(events));
            let took = match setting.api {
                Api::Async => with_tasks(url, setting, events, &handled)?,
                Api::Blocking => with_threads(url, setting, events, &handled)?,
            };
            Ok(Measured::of(events, took).counted(&handled.tally))
        }),
    }
}

fn with_tasks(
    url: String,
    setting: Setting,
    events: usize,
    handled: &Arc<Handled>,
) -> Result<Duration> {
    let handled = Arc::clone(handled);
    block_on(async move {
        let channel = EventChannel::open(config(&url)?).await?;
        let handler = {
            let handled = Arc::clone(&handled);
            move |message| {
                handled.note(&message);
                std::future::ready(Ok(()))
            }
        };
        let listening = channel.listen(CHANNEL, ListenOptions::new(), handler);
        let listener = listening.await?;
        let sender = prepared(&url, events, setting.payload_bytes).await?;
        let begun = Instant::now();
        sender.run("COMMIT").await?;
        handled.all().await;
        let took = begun.elapsed();
        listener.stop().await;
        channel.shutdown().await?;
        Ok(took)
    })
}

fn with_threads(
    url: String,
    setting: Setting,
    events: usize,
    handled: &Arc<Handled>,
) -> Result<Duration> {
    let channel = blocking::EventChannel::open(config(&url)?)?;
    let handler = {
        let handled = Arc::clone(handled);
        move |message| {
            handled.note(&message);
            Ok(())
        }
    };
    let listener = channel.listen(CHANNEL, ListenOptions::new(), handler)?;
    let begun = block_on(async move {
        let sender = prepared(&url, events, setting.payload_bytes).await?;
        let begun = Instant::now();
        sender.run("COMMIT").await?;
        Ok(begun)
    })?;
    handled.wait_for_all();
    let took = begun.elapsed();
    listener.stop()?;
    channel.shutdown()?;
    Ok(took)
}

/// A task that looks for the number in each text.
fn bare(setting: Setting) -> Subject {
    Subject {
        peer: "bare LISTEN",
        setting,
        measure: Box::new(move |effort| {
            let (url, events) = (new_database()?, events(effort));
            let (took, tally) = block_on(async move {
                let (ready, listening) = oneshot::channel();
                let at = url.clone();
                let ready = move || {
                    // Who waits for it waits until it comes.
                    let _ = ready.send(());
                };
                let receiving = tokio::spawn(async move {
                    let tally = Tally::new(events);
                    let mut left = events;
                    let take = |arrived: &str| {
                        if let Some((number, _)) = read(arrived) {
                            tally.note(number);
                            left -= 1;
                        }
                        left > 0
                    };
                    receive(&at, ready, take).await?;
                    Ok::<_, Box<dyn std::error::Error + Send + Sync>>((Instant::now(), tally))
                });
                listening.await?;
                let sender = prepared(&url, events, setting.payload_bytes).await?;
                let begun = Instant::now();
                sender.run("COMMIT").await?;
                let (ended, tally) = receiving.await??;
                Ok((ended - begun, tally))
            })?;
            Ok(Measured::of(events, took).counted(&tally))
        }),
    }
}
