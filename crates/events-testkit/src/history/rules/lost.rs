//! H1: a stored event is acknowledged, given up, or still in the tables.

use crate::history::Verdict;
use crate::history::view::{Fate, View};
use crate::history::{Expect, Report, Rule};

pub(super) fn check(view: &View<'_>, expect: &Expect, report: &mut Report) {
    for publish in view
        .publishes
        .iter()
        .filter(|publish| publish.fate == Fate::Stored)
    {
        report.published += publish.sent.len();
        for (place, id) in publish.ids.iter().enumerate() {
            for group in &expect.groups {
                let group = group.as_deref();
                let found = id.is_some_and(|id| {
                    let key = (id, (publish.channel, group));
                    view.rows
                        .as_ref()
                        .is_some_and(|rows| rows.contains_key(&key))
                        || view.holds.get(&key).into_iter().flatten().any(|hold| {
                            // Where acks are not told, a delivery has to do.
                            !expect.acks_are_recorded
                                || hold.may_have(Verdict::Ack).is_some()
                                || hold.may_have(Verdict::Reject).is_some()
                        })
                });
                if !found {
                    report.lost += 1;
                    report.break_rule(Rule::Lost, || {
                        format!(
                            "event {id:?}, number {place} of a publish that answered at {:?}, for group {group:?}",
                            publish.done
                        )
                    });
                }
            }
        }
    }
}
