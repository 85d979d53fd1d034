//! H11: the tables at last hold what was published, once for each group, in the state that the
//! verdicts left it in.

use event_channels::EventId;

use crate::history::view::{Fate, Queue, View};
use crate::history::{Expect, Report, Rule};
use crate::history::{Row, State, Verdict};

pub(super) fn check(view: &View<'_>, expect: &Expect, report: &mut Report) {
    let Some(rows) = &view.rows else { return };
    for (key, rows) in rows {
        let mut broken = |what: &str| {
            report.break_rule(Rule::Rest, || {
                format!("event {} of {:?}: {what}", key.0, key.1)
            });
        };
        if rows.len() > 1 {
            broken("it is stored more than once");
        }
        if !is_known(view, expect, key, rows[0]) {
            broken("it was not published so, or not for this group");
        } else if let Some(why) = wrong_state(view, expect, key, rows[0].state) {
            broken(&format!("it is {:?}, but {why}", rows[0].state));
        }
    }
    if expect.acked_rows_go {
        return;
    }
    // What was neither acknowledged nor given up is lost: another rule.
    for publish in view
        .publishes
        .iter()
        .filter(|publish| publish.fate == Fate::Stored)
    {
        for id in publish.ids.iter().flatten() {
            for group in &expect.groups {
                let key = (*id, (publish.channel, group.as_deref()));
                let holds = view.holds.get(&key).map_or(&[][..], Vec::as_slice);
                let done = |verdict| holds.iter().any(|hold| hold.may_have(verdict).is_some());
                let told = !expect.acks_are_recorded && !holds.is_empty();
                if (told || done(Verdict::Ack) || done(Verdict::Reject)) && !rows.contains_key(&key)
                {
                    report.break_rule(Rule::Rest, || {
                        format!("event {id} of {:?}: its row is gone", key.1)
                    });
                }
            }
        }
    }
}

fn is_known(view: &View<'_>, expect: &Expect, key: &(EventId, Queue<'_>), row: &Row) -> bool {
    let (id, (channel, group)) = key;
    let registered = expect.groups.iter().any(|known| known.as_deref() == *group);
    let published = view
        .events
        .get(id)
        .into_iter()
        .flatten()
        .any(|(at, place)| {
            let publish = &view.publishes[*at];
            publish.fate != Fate::Refused
                && publish.channel == *channel
                && publish.sent[*place].payload == row.payload
        });
    registered && published
}

/// Why an event cannot be in this state.
fn wrong_state(
    view: &View<'_>,
    expect: &Expect,
    key: &(EventId, Queue<'_>),
    state: State,
) -> Option<&'static str> {
    let holds = view.holds.get(key).map_or(&[][..], Vec::as_slice);
    let recorded = |verdict| {
        let lost = |at| expect.relaxed_acks && view.power_lost_between(at, u64::MAX);
        let verdicts = holds.iter().filter_map(|hold| hold.recorded(verdict));
        verdicts.into_iter().any(|settle| !lost(settle.begun))
    };
    let may_have = |verdict| holds.iter().any(|hold| hold.may_have(verdict).is_some());
    if state != State::Acked && recorded(Verdict::Ack) {
        return Some("its ack was recorded");
    }
    if state == State::Acked && expect.acks_are_recorded && !may_have(Verdict::Ack) {
        return Some("nobody acknowledged it");
    }
    let requeued = view.requeued.contains_key(&key.0);
    if state != State::Rejected && recorded(Verdict::Reject) && !requeued {
        return Some("it was rejected for good");
    }
    if state == State::Rejected && !holds.is_empty() && !may_have(Verdict::Reject) {
        return Some("nobody rejected it");
    }
    None
}
