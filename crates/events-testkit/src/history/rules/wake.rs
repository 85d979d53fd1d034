//! H9: an idle consumer is given an event in time.
//!
//! A consumer is idle that waits from the return of a publish until the bound is over. Only first
//! deliveries count, of events that nobody else had claimed before.

use std::collections::HashMap;

use crate::history::report::Percentiles;
use crate::history::view::{Fate, Queue, View, Wait};
use crate::history::{Expect, Report, Rule};

pub(super) fn check(view: &View<'_>, expect: &Expect, report: &mut Report) {
    let idle: HashMap<&Queue<'_>, Idle> = view
        .waits
        .iter()
        .map(|(queue, waits)| (queue, Idle::of(waits)))
        .collect();
    let bound = expect
        .wake_within
        .map(|bound| u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX));
    let mut times = Vec::new();
    for publish in view
        .publishes
        .iter()
        .filter(|publish| publish.fate == Fate::Stored)
    {
        let Some(done) = publish.done else { continue };
        let prompt = publish
            .ids
            .iter()
            .zip(publish.sent)
            .filter(|(_, sent)| sent.delay == 0);
        for id in prompt.filter_map(|(id, _)| *id) {
            for group in &expect.groups {
                let queue = (publish.channel, group.as_deref());
                let key = (id, queue);
                let first = view.holds.get(&key).and_then(|holds| holds.first());
                let claimed_before = match first {
                    Some(first) => first.delivered.attempt > 1 || first.delivered.fence > Some(1),
                    // A process that was killed may have had it.
                    None => view
                        .rows
                        .as_ref()
                        .and_then(|rows| rows.get(&key))
                        .is_none_or(|rows| {
                            rows.iter()
                                .any(|row| row.fence.is_none_or(|fence| fence > 0))
                        }),
                };
                if claimed_before {
                    continue;
                }
                if let Some(first) = first.filter(|first| first.asked <= publish.begun) {
                    times.push(first.got.saturating_sub(done));
                }
                let Some(bound) = bound else { continue };
                let deadline = done.saturating_add(bound);
                let late = first.is_none_or(|first| first.got > deadline);
                if late
                    && idle
                        .get(&queue)
                        .is_some_and(|idle| idle.throughout(done, deadline))
                {
                    report.break_rule(Rule::Wake, || {
                        format!(
                            "event {id} of {queue:?}, stored at {done}, was first delivered at {:?}",
                            first.map(|first| first.got)
                        )
                    });
                }
            }
        }
    }
    report.wake = Percentiles::of(times);
}

/// The waits of a queue, sorted by their begin, each with the latest end up to it.
struct Idle(Vec<Wait>);

impl Idle {
    fn of(waits: &[Wait]) -> Self {
        let mut sorted = waits.to_vec();
        sorted.sort_by_key(|wait| wait.begun);
        let mut latest = 0;
        for wait in &mut sorted {
            latest = latest.max(wait.end);
            wait.end = latest;
        }
        Self(sorted)
    }

    /// Whether one consumer waited from here to there.
    fn throughout(&self, from: u64, to: u64) -> bool {
        let before = self.0.partition_point(|wait| wait.begun <= from);
        before > 0 && self.0[before - 1].end >= to
    }
}
