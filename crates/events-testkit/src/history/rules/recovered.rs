//! H3: a publish of unknown outcome may be stored, but whole or not at all.

use crate::history::view::{Fate, View};
use crate::history::{Expect, Report, Rule};

pub(super) fn check(view: &View<'_>, expect: &Expect, report: &mut Report) {
    for publish in view
        .publishes
        .iter()
        .filter(|publish| publish.fate == Fate::InDoubt)
    {
        let turned_up = |id: &event_channels::EventId| {
            expect.groups.iter().any(|group| {
                let key = (*id, (publish.channel, group.as_deref()));
                view.holds.contains_key(&key)
                    || view
                        .rows
                        .as_ref()
                        .is_some_and(|rows| rows.contains_key(&key))
            })
        };
        let (sent, found) = (
            publish.sent.len(),
            publish
                .ids
                .iter()
                .flatten()
                .filter(|id| turned_up(id))
                .count(),
        );
        report.in_doubt += sent;
        report.recovered += found;
        // Without a look at the tables the others may be there, undelivered.
        if view.rows.is_some() && found > 0 && found < sent {
            report.break_rule(Rule::Recovered, || {
                format!(
                    "{found} of {sent} events of a publish that began at {}",
                    publish.begun
                )
            });
        }
    }
}
