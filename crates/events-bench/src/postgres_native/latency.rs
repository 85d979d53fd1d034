//! How long an event is on its way, fifty a second, by the median and by the slowest in a hundred.

use std::time::Duration;

use tokio::sync::oneshot;

use super::bare::{Sender, receive, text};
use super::database::Database;
use crate::case::{Bound, Comparison, Metric, Other, Result, Rule, Setting, Subject};
use crate::measured::{Measured, Tally};
use crate::ours::latency::{INTERVAL, events, ours};
use crate::payload::{Payloads, read, since};
use crate::place::Place as _;
use crate::runtime::block_on;

pub(super) fn comparisons() -> Vec<Comparison> {
    let by = [
        ("latency_50ps", Metric::Median, 1.3),
        ("latency_50ps_p99", Metric::Slow, 1.5),
    ];
    by.into_iter()
        .flat_map(|(case, by, most)| {
            super::settings().map(move |setting| comparison(case, by, most, setting))
        })
        .collect()
}

fn comparison(case: &'static str, by: Metric, most: f64, setting: Setting) -> Comparison {
    Comparison {
        case,
        by,
        standard: true,
        ours: ours::<Database>(setting),
        bounds: Vec::new(),
        others: vec![Other {
            subject: bare(setting),
            bounds: vec![Bound::floor(Rule::AtMost(most))],
        }],
    }
}

/// A connection that sends and one that listens, each driven by a task.
fn bare(setting: Setting) -> Subject {
    Subject {
        peer: "bare LISTEN/NOTIFY",
        setting,
        measure: Box::new(move |effort| {
            let place = Database::make(effort)?;
            let (url, events) = (place.url(), events(effort));
            let payloads = Payloads::of(setting.payload_bytes);
            let (times, tally) = block_on(async move {
                let (ready, listening) = oneshot::channel();
                let at = url.clone();
                let ready = move || {
                    // Who waits for it waits until it comes.
                    let _ = ready.send(());
                };
                let receiving = tokio::spawn(async move {
                    let tally = Tally::new(events);
                    let mut times: Vec<Duration> = Vec::with_capacity(events);
                    let take = |arrived: &str| {
                        if let Some((number, sent)) = read(arrived) {
                            times.push(since(sent));
                            tally.note(number);
                        }
                        times.len() < events
                    };
                    let received: Result<()> = receive(&at, ready, take).await;
                    received.map(|()| (times, tally))
                });
                listening.await?;
                let sender = Sender::connect(&url).await?;
                let mut due = tokio::time::Instant::now();
                for number in 0..events {
                    tokio::time::sleep_until(due).await;
                    sender.one(&text(&payloads, number)).await?;
                    due += INTERVAL;
                }
                receiving.await?
            })?;
            Ok(Measured::each(times).counted(&tally))
        }),
    }
}
