//! H5: an event whose ack was recorded is not delivered again.
//!
//! Relaxed acks may be lost with the power.

use crate::history::Verdict;
use crate::history::view::View;
use crate::history::{Expect, Report, Rule};

pub(super) fn check(view: &View<'_>, expect: &Expect, report: &mut Report) {
    for ((id, queue), holds) in &view.holds {
        for (at, hold) in holds.iter().enumerate() {
            let Some(ack) = hold.recorded(Verdict::Ack) else {
                continue;
            };
            // One that was delivered before the ack began is a matter of the fence.
            let again = holds[at + 1..].iter().find(|later| later.got > ack.begun);
            let Some(again) = again else { continue };
            if expect.relaxed_acks && view.power_lost_between(ack.begun, again.got) {
                continue;
            }
            report.break_rule(Rule::AfterAck, || {
                format!(
                    "event {id} of {queue:?}, acknowledged by {} at {:?}, was delivered to {} at {}",
                    hold.process, ack.done, again.process, again.got
                )
            });
        }
    }
}
