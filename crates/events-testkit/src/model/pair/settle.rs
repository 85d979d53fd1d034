//! Verdicts, in time and late.

use std::time::Duration;

use events_core::HoldToken;
use events_queue::{
    Clock, DeadReason, QueueBackend, QueueConfig, QueueStore, StoreSettlement, StoreVerdict,
};

use super::{Agreed, Hold, Pair, same};
use crate::model::step::{Verdict, What};

impl<S, O> Pair<S, O>
where
    S: QueueStore,
    O: Fn(QueueConfig, Clock) -> QueueBackend<S>,
{
    pub(super) fn settle(&mut self, verdicts: &[Verdict]) -> Agreed {
        let mut chosen: Vec<(Hold, StoreVerdict)> = Vec::new();
        for Verdict { late, hold, what } in verdicts {
            let holds = if *late { &self.settled } else { &self.held };
            if !holds.is_empty() {
                let hold = holds[hold % holds.len()].clone();
                let verdict = store_verdict(what, hold.alone);
                chosen.push((hold, verdict));
            }
        }
        if chosen.is_empty() {
            return Ok(());
        }
        let settlements = |token: fn(&Hold) -> HoldToken| -> Vec<StoreSettlement> {
            let settlement = |(hold, verdict): &(Hold, StoreVerdict)| StoreSettlement {
                token: token(hold),
                event_id: hold.event_id,
                verdict: verdict.clone(),
            };
            chosen.iter().map(settlement).collect()
        };
        let reference = settlements(|hold| hold.reference);
        let expected = self.reference.settle(reference).wait();
        let subject = settlements(|hold| hold.subject);
        let found = self.subject().settle(subject).wait();
        same("settle", &expected, &found)?;
        for outcome in expected.unwrap_or_default() {
            self.tally.count(format!("outcome: {outcome:?}"), 1);
        }
        for (hold, verdict) in chosen {
            let was_held = self
                .held
                .iter()
                .position(|known| known.reference == hold.reference);
            match was_held {
                Some(at) if !matches!(verdict, StoreVerdict::Extend(_)) => {
                    self.settled.push(self.held.remove(at));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn store_verdict(what: &What, alone: bool) -> StoreVerdict {
    let error = |said: bool| said.then(|| "it did not work".to_owned());
    match *what {
        What::Ack => StoreVerdict::Ack,
        What::Retry {
            after_seconds,
            error: said,
        } => StoreVerdict::Retry {
            after: Duration::from_secs(after_seconds),
            error: error(said),
        },
        What::Reject { error: said } => StoreVerdict::Dead {
            reason: DeadReason::Rejected,
            error: error(said),
        },
        What::Extend { seconds } => StoreVerdict::Extend(Duration::from_secs(seconds)),
        What::Release => StoreVerdict::Release { suspect: alone },
    }
}
