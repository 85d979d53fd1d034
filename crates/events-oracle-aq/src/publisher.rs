//! Events on their way into queues.

use std::collections::BTreeSet;
use std::sync::Arc;

use events_core::telemetry::Count;
use events_core::{Capabilities, ChannelName, EventId, NewEvent, Op, Pending, Result, Timestamp};
use events_oracle_session::{Session, Workers, oracle_error};

use crate::config::whole_seconds;
use crate::context::Context;
use crate::envelope::Envelope;
use crate::group::is_without_recipients;
use crate::message::{self, Outgoing};
use crate::queue::{PayloadKind, Queue};

/// An event that was checked, before its queue is known.
struct Checked {
    channel: ChannelName,
    body: String,
    priority: i64,
    delay_seconds: u64,
    expiration_seconds: Option<u64>,
}

/// Checks the events and stores all of them or none.
pub(crate) fn publish(
    context: &Arc<Context>,
    workers: &Workers,
    capabilities: &Capabilities,
    events: Vec<NewEvent>,
) -> Pending<Vec<EventId>> {
    let checked = match check(context, capabilities, events) {
        Ok(checked) => checked,
        Err(error) => return Pending::ready(Err(error.in_backend(context.name))),
    };
    if checked.is_empty() {
        return Pending::ready(Ok(Vec::new()));
    }
    let ids: Vec<EventId> = checked.iter().map(|(id, _)| *id).collect();
    let context = Arc::clone(context);
    let started = std::time::Instant::now();
    workers.submit(Op::Publish, move |session| {
        store(&context, session, &checked)?;
        for (_, event) in &checked {
            context
                .meters
                .of(&event.channel)
                .add(Count::PublishNative, 1);
        }
        if let Some((_, event)) = checked.first() {
            context
                .meters
                .of(&event.channel)
                .publish_took(started.elapsed());
        }
        Ok(ids.clone())
    })
}

fn check(
    context: &Context,
    capabilities: &Capabilities,
    events: Vec<NewEvent>,
) -> Result<Vec<(EventId, Checked)>> {
    let now = Timestamp::now();
    let one = |event: NewEvent| {
        event.check_supported(capabilities)?;
        let parts = event.into_parts(context.config.max_payload_bytes)?;
        let metadata = parts.metadata.as_ref();
        let envelope = Envelope::new(&parts.payload, metadata, now, parts.expires_in);
        // Oracle counts the time to live from the end of the delay.
        let left = parts
            .expires_in
            .map(|time| time.saturating_sub(parts.delay));
        let checked = Checked {
            body: envelope.encode(&parts.channel),
            channel: parts.channel,
            priority: -i64::from(parts.priority),
            delay_seconds: whole_seconds(parts.delay),
            expiration_seconds: left.map(whole_seconds),
        };
        Ok((envelope.event_id, checked))
    };
    events.into_iter().map(one).collect()
}

fn store(context: &Context, session: &Session, events: &[(EventId, Checked)]) -> Result<()> {
    let mut messages = Vec::with_capacity(events.len());
    have_groups(context, session, events)?;
    for (_, event) in events {
        let message = Outgoing {
            queue: context.queue(session, Op::Publish, &event.channel)?,
            body: event.body.clone(),
            correlation: event.channel.as_str().to_owned(),
            priority: event.priority,
            delay_seconds: event.delay_seconds,
            expiration_seconds: event.expiration_seconds,
        };
        message.check()?;
        messages.push(message);
    }
    let mut enqueued = message::try_enqueue(session, &messages);
    if enqueued.as_ref().is_err_and(is_without_recipients) {
        // The last group was taken off since it was looked for.
        session.rollback(Op::Publish)?;
        have_groups(context, session, events)?;
        enqueued = message::try_enqueue(session, &messages);
    }
    enqueued.map_err(|error| oracle_error(Op::Publish, context.name, error))?;
    session.commit(Op::Publish)
}

/// Where there are groups, sees to it that each channel has one.
fn have_groups(context: &Context, session: &Session, events: &[(EventId, Checked)]) -> Result<()> {
    if !context.config.groups {
        return Ok(());
    }
    let channels: BTreeSet<&ChannelName> = events.iter().map(|(_, event)| &event.channel).collect();
    channels
        .into_iter()
        .try_for_each(|channel| context.have_group(session, Op::Publish, channel))
}

/// The most bytes of an event in a queue like this, when the queue and not we set it.
pub(crate) fn most(queue: Option<&Queue>) -> Option<usize> {
    queue
        .filter(|queue| queue.payload == PayloadKind::Raw)
        .map(|_| PayloadKind::RAW_EVENT_BYTES)
}
