//! How long an event is on its way in one process: fifty a second, from just before the call that
//! publishes to the first line of the handler.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use event_channels::{EventChannel, EventMessage, ListenOptions, blocking};

use super::handled::Handled;
use crate::case::{Api, Effort, OURS, Result, Setting, Subject};
use crate::measured::Measured;
use crate::payload::{Payloads, since};
use crate::place::{CHANNEL, Place};
use crate::runtime::block_on;

/// Fifty a second.
pub(crate) const INTERVAL: Duration = Duration::from_millis(20);

/// How many events come in that time.
pub(crate) fn events(effort: &Effort) -> usize {
    let events = effort.latency.as_millis() / INTERVAL.as_millis();
    usize::try_from(events).unwrap_or_default().max(1)
}

/// Calls `publish` for each number, fifty times a second.
pub(crate) fn paced(events: usize, mut publish: impl FnMut(usize) -> Result<()>) -> Result<()> {
    let mut due = Instant::now();
    for number in 0..events {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        publish(number)?;
        due += INTERVAL;
    }
    Ok(())
}

type Times = Arc<Mutex<Vec<Duration>>>;

pub(crate) fn ours<P: Place>(setting: Setting) -> Subject {
    Subject {
        peer: OURS,
        setting,
        measure: Box::new(move |effort| {
            let place = P::make(effort)?;
            let handled = Arc::new(Handled::new(events(effort)));
            let times = Times::default();
            match setting.api {
                Api::Async => with_tasks(&place, setting, events(effort), &handled, &times)?,
                Api::Blocking => with_threads(&place, setting, events(effort), &handled, &times)?,
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
    place: &impl Place,
    setting: Setting,
    events: usize,
    handled: &Arc<Handled>,
    times: &Times,
) -> Result<()> {
    let config = place.config(&setting)?;
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
    place: &impl Place,
    setting: Setting,
    events: usize,
    handled: &Arc<Handled>,
    times: &Times,
) -> Result<()> {
    let channel = blocking::EventChannel::open(place.config(&setting)?)?;
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
