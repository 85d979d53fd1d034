//! H8: every delivery after the first has a cause.

use crate::history::Verdict;
use crate::history::hold::Hold;
use crate::history::report::Cause;
use crate::history::view::View;
use crate::history::{Report, Rule};

pub(super) fn check(view: &View<'_>, report: &mut Report) {
    for ((id, queue), holds) in &view.holds {
        for pair in holds.windows(2) {
            let (hold, again) = (&pair[0], &pair[1]);
            if let Some(cause) = cause(view, hold, again) {
                *report.duplicates.entry(cause).or_default() += 1;
            } else if hold.recorded(Verdict::Ack).is_none() {
                report.break_rule(Rule::Duplicate, || {
                    format!(
                        "event {id} of {queue:?}, delivered to {} at {}, was delivered to {} at {}",
                        hold.process, hold.got, again.process, again.got
                    )
                });
            }
        }
    }
}

fn cause(view: &View<'_>, hold: &Hold<'_>, again: &Hold<'_>) -> Option<Cause> {
    let said = |verdict| {
        let settle = hold.may_have(verdict);
        settle.is_some_and(|settle| settle.begun <= again.got)
    };
    let requeued = view
        .requeued
        .get(&hold.delivered.event)
        .into_iter()
        .flatten();
    let killed = view.processes[hold.process].killed;
    if requeued
        .into_iter()
        .any(|at| (hold.got..=again.got).contains(at))
    {
        Some(Cause::Requeue)
    } else if said(Verdict::Nack) {
        Some(Cause::Nack)
    } else if said(Verdict::Release) {
        Some(Cause::Release)
    } else if view.power_lost_between(hold.got, again.got) {
        Some(Cause::PowerLoss)
    } else if hold.recorded(Verdict::Ack).is_some() {
        None
    } else if killed.is_some_and(|killed| killed <= again.got) {
        Some(Cause::Death)
    } else {
        let until = hold.lease_until(again.got)?;
        (until <= again.got_wall).then_some(Cause::Expiry)
    }
}
