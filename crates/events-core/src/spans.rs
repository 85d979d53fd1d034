//! Every span of the library: its name, its fields, and how it ends.
//!
//! A span says what happens to which events and never what is in them: of the metadata it shows
//! a well-formed [`TraceParent`](crate::TraceParent) and nothing else. An operation that fails
//! ends its span with `error` and `otel.status_code` recorded. All have the target
//! `event_channels`; a span that nobody wants costs a comparison and no memory.
//!
//! | Span | Level | Lasts | Fields |
//! | --- | --- | --- | --- |
//! | `events.publish` | info | until the events are stored or sent | `backend`, `channel`, `events`, `event_id` |
//! | `events.handle` | info | while a listener's handler runs | `backend`, `channel`, `group`, `event_id`, `attempts`, `traceparent`, `outcome` |
//! | `events.migrate` | info | while tables are made or dropped | `table`, `direction`, `migrations` |
//! | `events.shutdown` | info | until everything is drained and closed | `backend`, `listeners`, `finished`, `released` |
//! | `events.claim` | debug | until the database has answered | `backend`, `channel`, `group`, `limit`, `events` |
//! | `events.settle` | debug | until verdicts are recorded | `backend`, `verdict`, `events`, `failed` |
//!
//! `channel` is absent when a batch goes to several, `event_id` when it is not about one event,
//! `group` in the default group.

use std::fmt::Display;

use tracing::Span;
use tracing::field::{Empty, display};

use crate::{
    ChannelName, EventId, EventMessage, GroupName, NewEvent, Result, Settled, Settlement,
    TableName, Verdict,
};

/// The target of every span.
const TARGET: &str = "event_channels";

/// Events on their way to the database.
#[must_use]
pub fn publish(backend: &'static str, events: &[NewEvent]) -> Span {
    tracing::info_span!(
        target: TARGET,
        "events.publish",
        otel.kind = "producer",
        backend,
        channel = NewEvent::common_channel(events).map(ChannelName::as_str),
        events = events.len(),
        event_id = Empty,
        error = Empty,
        otel.status_code = Empty,
    )
}

/// Notes the id, when it is one.
pub fn published(span: &Span, ids: &[EventId]) {
    if let [id] = ids {
        span.record("event_id", display(id));
    }
}

/// A look at the database for events.
#[must_use]
pub fn claim(
    backend: &'static str,
    channel: &ChannelName,
    group: Option<&GroupName>,
    limit: usize,
) -> Span {
    tracing::debug_span!(
        target: TARGET,
        "events.claim",
        otel.kind = "client",
        backend,
        channel = channel.as_str(),
        group = group.map(GroupName::as_str),
        limit,
        events = Empty,
        error = Empty,
        otel.status_code = Empty,
    )
}

/// Notes how many events a claim brought.
pub fn claimed(span: &Span, events: usize) {
    span.record("events", events);
}

/// A handler at work on an event.
#[must_use]
pub fn handle(backend: &'static str, group: Option<&GroupName>, message: &EventMessage) -> Span {
    tracing::info_span!(
        target: TARGET,
        "events.handle",
        otel.kind = "consumer",
        backend,
        channel = message.channel.as_str(),
        group = group.map(GroupName::as_str),
        event_id = display(message.event_id),
        attempts = message.attempts,
        traceparent = message.traceparent().map(display),
        outcome = Empty,
        error = Empty,
        otel.status_code = Empty,
    )
}

/// Notes how a handler ended: `ok`, or `error`, `panic` or `timeout` with its reason.
pub fn handled(span: &Span, outcome: &'static str, reason: Option<&str>) {
    span.record("outcome", outcome);
    if let Some(reason) = reason {
        failed(span, reason);
    }
}

/// Verdicts on their way to the database.
#[must_use]
pub fn settle(backend: &'static str, settlements: &[Settlement]) -> Span {
    tracing::debug_span!(
        target: TARGET,
        "events.settle",
        otel.kind = "client",
        backend,
        verdict = common_verdict(settlements),
        events = settlements.len(),
        failed = Empty,
        error = Empty,
        otel.status_code = Empty,
    )
}

/// Notes verdicts that were refused, with the first reason.
pub fn settled(span: &Span, answers: &[Result<Settled>]) {
    let mut errors = answers.iter().filter_map(|answer| answer.as_ref().err());
    if let Some(first) = errors.next() {
        span.record("failed", 1 + errors.count());
        failed(span, first);
    }
}

/// Tables being made or dropped; `direction` is `up` or `down`.
#[must_use]
pub fn migrate(table: &TableName, direction: &'static str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "events.migrate",
        table = display(table),
        direction,
        migrations = Empty,
        error = Empty,
        otel.status_code = Empty,
    )
}

/// Notes which migrations were applied or reverted.
pub fn migrated(span: &Span, ids: &[String]) {
    span.record("migrations", ids.join(" "));
}

/// A channel being drained and closed.
#[must_use]
pub fn shutdown(backend: &'static str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "events.shutdown",
        backend,
        listeners = Empty,
        finished = Empty,
        released = Empty,
        error = Empty,
        otel.status_code = Empty,
    )
}

/// Notes what draining came to.
pub fn drained(span: &Span, listeners: u64, finished: u64, released: u64) {
    span.record("listeners", listeners);
    span.record("finished", finished);
    span.record("released", released);
}

/// Notes the failure that ends a span.
pub fn failed(span: &Span, error: impl Display) {
    span.record("error", display(error));
    span.record("otel.status_code", "ERROR");
}

/// Notes an answer: what `note` makes of a good one, or the error.
pub(crate) fn answered<T>(span: &Span, answer: &Result<T>, note: impl FnOnce(&Span, &T)) {
    match answer {
        Ok(answer) => note(span, answer),
        Err(error) => failed(span, error),
    }
}

/// Does work inside a span, and ends it with its answer.
///
/// # Errors
/// Those of the work.
pub fn run<T>(
    span: &Span,
    work: impl FnOnce() -> Result<T>,
    note: impl FnOnce(&Span, &T),
) -> Result<T> {
    let answer = span.in_scope(work);
    if !span.is_disabled() {
        answered(span, &answer, note);
    }
    answer
}

fn common_verdict(settlements: &[Settlement]) -> Option<&'static str> {
    let mut words = settlements.iter().map(|to| match to.verdict {
        Verdict::Ack => "ack",
        Verdict::Nack { .. } => "nack",
        Verdict::Extend(_) => "extend",
        Verdict::Release => "release",
    });
    let first = words.next()?;
    words.all(|word| word == first).then_some(first)
}

#[cfg(test)]
mod tests {
    /// The page has the same table as the documentation of this module.
    #[test]
    fn the_documentation_lists_every_span() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/telemetry.md");
        let page = std::fs::read_to_string(page).unwrap();
        let lines = include_str!("spans.rs").lines();
        let rows: Vec<_> = lines
            .filter_map(|line| line.strip_prefix("//! | "))
            .collect();
        assert!(rows.len() > 2);
        for row in rows {
            assert!(page.contains(row), "docs/src/telemetry.md lacks: {row}");
        }
    }
}
