//! How long an event is on its way: from just before the call that publishes to the first line of
//! the handler, within one process and between two.

use std::time::Duration;

use event_channels::postgres::tokio_postgres::{AsyncMessage, NoTls, connect};

use super::place::Database;
use super::raw::Raw;
use super::{WOKEN, setting};
use crate::case::{Bound, Comparison, Metric, Other, Rule, Setting, Subject};
use crate::measured::{Measured, Tally};
use crate::ours::latency::{INTERVAL, events, ours};
use crate::ours::latency_processes;
use crate::payload::{Payloads, since};
use crate::place::Place as _;
use crate::runtime::block_on;

pub(super) fn comparisons() -> Vec<Comparison> {
    let one = |case, by, most| comparison(case, by, ours::<Database>, most);
    let two = |case, by, most| comparison(case, by, latency_processes::ours::<Database>, most);
    vec![
        one("latency_50ps", Metric::Median, 1.25),
        one("latency_50ps_p99", Metric::Slow, 1.5),
        two("latency_processes", Metric::Median, 1.25),
        two("latency_processes_p99", Metric::Slow, 1.5),
    ]
}

fn comparison(
    case: &'static str,
    by: Metric,
    ours: impl Fn(Setting) -> Subject,
    most: f64,
) -> Comparison {
    Comparison {
        case,
        by,
        standard: true,
        ours: ours(setting(WOKEN)),
        bounds: Vec::new(),
        others: vec![Other {
            subject: raw(setting(WOKEN)),
            bounds: vec![Bound::floor(Rule::AtMost(most))],
        }],
    }
}

/// Stored and notified in one transaction, claimed when the notification comes.
fn raw(setting: Setting) -> Subject {
    Subject {
        peer: "raw insert, notify, claim",
        setting,
        measure: Box::new(move |effort| {
            let place = Database::make(effort)?;
            let events = events(effort);
            let (url, payloads) = (place.url(), Payloads::of(setting.payload_bytes));
            let (tally, times) = block_on(async move {
                let consumer = tokio::spawn(consume(url.clone(), events));
                let raw = Raw::connect(&url).await?;
                // It listens by then.
                let mut due = tokio::time::Instant::now() + Duration::from_millis(500);
                for number in 0..events {
                    tokio::time::sleep_until(due).await;
                    raw.insert_notify(&payloads.text(number)).await?;
                    due += INTERVAL;
                }
                consumer.await?
            })?;
            Ok(Measured::each(times).counted(&tally))
        }),
    }
}

async fn consume(url: String, events: usize) -> crate::case::Result<(Tally, Vec<Duration>)> {
    let (listener, mut connection) = connect(&url, NoTls).await?;
    let (ring, mut rung) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(_) = message
                && ring.send(()).is_err()
            {
                return;
            }
        }
    });
    listener.batch_execute("LISTEN bench_raw").await?;
    let mut raw = Raw::consumer(&url).await?;
    let (tally, mut times) = (Tally::new(events), Vec::new());
    while times.len() < events {
        let wait = tokio::time::timeout(Duration::from_secs(30), rung.recv());
        wait.await?.ok_or("the listener has ended")?;
        let held = raw.claim(10).await?;
        for (number, sent_ns) in &held.events {
            times.push(since(*sent_ns));
            tally.note(*number);
        }
        raw.ack(&held, true).await?;
    }
    drop(listener);
    Ok((tally, times))
}
