//! H4: while somebody holds an event, nobody else is given it.
//!
//! A hold ends when its consumer lets go of it or its lease ends. The death of its process ends
//! no lease.

use crate::history::hold::Hold;
use crate::history::view::View;
use crate::history::{Report, Rule};

pub(super) fn check(view: &View<'_>, report: &mut Report) {
    for ((id, queue), holds) in &view.holds {
        // The earliest delivery of a later claim.
        let mut next: Option<&Hold<'_>> = None;
        for hold in holds.iter().rev() {
            if let Some(next) = next
                && next.got >= hold.got
                && !hold.is_claim_of(next)
                && !view.power_lost_between(hold.got, next.got)
                && hold.let_go().is_none_or(|let_go| next.got < let_go)
                && hold
                    .lease_until(next.got)
                    .is_some_and(|until| next.got_wall < until)
            {
                report.break_rule(Rule::Overlap, || {
                    format!(
                        "event {id} of {queue:?} was delivered to {} at {}, {} µs before the lease of {} ended",
                        next.process,
                        next.got,
                        hold.lease_until(next.got).unwrap_or_default() - next.got_wall,
                        hold.process
                    )
                });
            }
            if next.is_none_or(|next| hold.got < next.got) {
                next = Some(hold);
            }
        }
    }
}
