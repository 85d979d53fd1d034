//! H6: each claim raises the fence, and the verdict of an overtaken claim changes nothing.

use crate::history::view::View;
use crate::history::{Report, Rule};

pub(super) fn check(view: &View<'_>, report: &mut Report) {
    for ((id, queue), holds) in &view.holds {
        let mut broken = |what: String| {
            report.break_rule(Rule::Fence, || format!("event {id} of {queue:?}: {what}"));
        };
        for pair in holds.windows(2) {
            let (one, other) = (&pair[0], &pair[1]);
            if one.is_claim_of(other) && !view.power_lost_between(one.got, other.got) {
                broken(format!(
                    "{} and {} have fence {:?}",
                    one.process, other.process, one.delivered.fence
                ));
            }
        }
        // The earliest delivery of a claim with a higher fence.
        let mut overtaken = u64::MAX;
        for hold in holds.iter().rev() {
            if hold.asked > overtaken {
                broken(format!(
                    "{} was given fence {:?} after {overtaken}, when a higher one was out",
                    hold.process, hold.delivered.fence
                ));
            }
            let late = hold.settles.iter().find(|settle| {
                settle.begun >= overtaken
                    && settle.is_recorded()
                    && !view.power_lost_between(overtaken, settle.begun)
            });
            if let Some(late) = late {
                broken(format!(
                    "{:?} of {} with fence {:?} was recorded at {:?}, though overtaken at {overtaken}",
                    late.verdict, hold.process, hold.delivered.fence, late.done
                ));
            }
            overtaken = overtaken.min(hold.got);
        }
    }
}
