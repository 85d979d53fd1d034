//! How long an event is on its way in one process: fifty a second, from just before the call that
//! publishes to the first line of the handler.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use event_channels::{Durability, EventChannel, EventMessage, ListenOptions, blocking};

use super::file::File;
use super::handled::Handled;
use super::raw::{CHANNEL, Raw, RawHeld, connect};
use super::runtime::block_on;
use crate::case::{
    Api, Bound, Comparison, Effort, Metric, OURS, Other, Result, Rule, Setting, Subject,
};
use crate::measured::{Measured, Tally};
use crate::payload::{Payloads, since};

const CASE: &str = "latency_50ps";
const INTERVAL: Duration = Duration::from_millis(20);

pub(super) fn comparisons() -> Vec<Comparison> {
    settings()
        .map(|setting| Comparison {
            case: CASE,
            by: Metric::Median,
            standard: true,
            ours: ours(setting),
            bounds: Vec::new(),
            others: vec![Other {
                subject: condvar(setting),
                bounds: vec![Bound::floor(Rule::AtMost(1.4))],
            }],
        })
        .collect()
}

/// Blocking and async, flushed and not.
pub(super) fn settings() -> impl Iterator<Item = Setting> {
    let small = Setting::default().payload_bytes;
    Setting::publishing().filter(move |setting| setting.payload_bytes == small)
}

/// How many events come in that time.
pub(super) fn events(effort: &Effort) -> usize {
    let events = effort.latency.as_millis() / INTERVAL.as_millis();
    usize::try_from(events).unwrap_or_default().max(1)
}

/// Calls `publish` for each number, fifty times a second.
pub(super) fn paced(events: usize, mut publish: impl FnMut(usize) -> Result<()>) -> Result<()> {
    let mut due = Instant::now();
    for number in 0..events {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        publish(number)?;
        due += INTERVAL;
    }
    Ok(())
}

type Times = Arc<Mutex<Vec<Duration>>>;

fn ours(setting: Setting) -> Subject {
    Subject {
        peer: OURS,
        setting,
        measure: Box::new(move |effort| {
            let file = File::new(effort)?;
            let handled = Arc::new(Handled::new(events(effort)));
            let times = Times::default();
            match setting.api {
                Api::Async => with_tasks(&file, setting, events(effort), &handled, &times)?,
                Api::Blocking => with_threads(&file, setting, events(effort), &handled, &times)?,
            }
            let times = std::mem::take(&mut *times.lock().expect("no handler panicked"));
            Ok(Measured::each(times).counted(&handled.tally))
        }),
    }
}

fn note(handled: &Handled, times: &Times, message: &EventMessage) {
    let received = Instant::now();
    let sent_ns = handled.note(message);
    // Noting it is not part of its way.
    let after = since(sent_ns).saturating_sub(received.elapsed());
    times.lock().expect("no handler panicked").push(after);
}

fn with_tasks(
    file: &File,
    setting: Setting,
    events: usize,
    handled: &Arc<Handled>,
    times: &Times,
) -> Result<()> {
    let config = file.config(&setting)?;
    let (handled, times) = (Arc::clone(handled), Arc::clone(times));
    block_on(async move {
        let channel = EventChannel::open(config).await?;
        let handler = {
            let handled = Arc::clone(&handled);
            move |message| {
                note(&handled, &times, &message);
                std::future::ready(Ok(()))
            }
        };
        let options = ListenOptions::new();
        let listener = channel.listen(CHANNEL, options, handler).await?;
        let payloads = Payloads::of(setting.payload_bytes);
        let mut due = tokio::time::Instant::now();
        for number in 0..events {
            tokio::time::sleep_until(due).await;
            channel.publish(CHANNEL, payloads.get(number)).await?;
            due += INTERVAL;
        }
        handled.all().await;
        listener.stop().await;
        channel.shutdown().await?;
        Ok(())
    })
}

fn with_threads(
    file: &File,
    setting: Setting,
    events: usize,
    handled: &Arc<Handled>,
    times: &Times,
) -> Result<()> {
    let channel = blocking::EventChannel::open(file.config(&setting)?)?;
    let handler = {
        let (handled, times) = (Arc::clone(handled), Arc::clone(times));
        move |message| {
            note(&handled, &times, &message);
            Ok(())
        }
    };
    let listener = channel.listen(CHANNEL, ListenOptions::new(), handler)?;
    let payloads = Payloads::of(setting.payload_bytes);
    paced(events, |number| {
        channel.publish(CHANNEL, payloads.get(number))?;
        Ok(())
    })?;
    handled.wait_for_all();
    listener.stop()?;
    channel.shutdown()?;
    Ok(())
}

/// The shortest way that two threads have: insert, notify a condition variable, claim.
fn condvar(setting: Setting) -> Subject {
    Subject {
        peer: "condvar hand-over",
        setting,
        measure: Box::new(move |effort| {
            let file = File::new(effort)?;
            let events = events(effort);
            let bell = (Mutex::new(0_usize), Condvar::new());
            let payloads = Payloads::of(setting.payload_bytes);
            let connection = connect(&file.path(), setting.durability)?;
            let mut raw = Raw::prepare(&connection)?;
            let tally = Tally::new(events);
            let times = thread::scope(|scope| {
                let consumer = scope.spawn(|| consume(&file, &bell, &tally, events));
                paced(events, |number| {
                    raw.insert(&payloads.text(number))?;
                    *bell.0.lock().expect("nobody panicked") += 1;
                    bell.1.notify_one();
                    Ok(())
                })?;
                consumer.join().expect("a consumer does not panic")
            })?;
            Ok(Measured::each(times).counted(&tally))
        }),
    }
}

fn consume(
    file: &File,
    (rung, bell): &(Mutex<usize>, Condvar),
    tally: &Tally,
    events: usize,
) -> Result<Vec<Duration>> {
    let connection = connect(&file.path(), Durability::Process)?;
    let mut raw = Raw::prepare(&connection)?;
    let mut times = Vec::new();
    let mut seen = 0;
    while times.len() < events {
        {
            let mut rung = rung.lock().expect("nobody panicked");
            while *rung == seen {
                rung = bell.wait(rung).expect("nobody panicked");
            }
            seen = *rung;
        }
        take_all(&mut raw, &mut times, tally)?;
    }
    Ok(times)
}

/// Claims and acknowledges one by one until nothing is left.
pub(super) fn take_all(raw: &mut Raw<'_>, times: &mut Vec<Duration>, tally: &Tally) -> Result<()> {
    let mut held: Vec<RawHeld> = Vec::new();
    loop {
        held.clear();
        raw.claim(1, &mut held)?;
        let Some(one) = held.first() else {
            return Ok(());
        };
        times.push(since(one.sent_ns));
        tally.note(one.number);
        raw.ack(one, Setting::default().retention)?;
    }
}
