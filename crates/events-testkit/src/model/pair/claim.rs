//! Claims: what both bring, and what becomes of an answer that nobody hears.

use std::fmt::Debug;

use events_queue::{
    Claim, Claimed, Clock, QueueBackend, QueueConfig, QueueStore, Row, StoreSettlement,
    StoreVerdict,
};
use proptest::test_runner::TestCaseError;

use super::{Agreed, FENCE, Hold, LEASE, Pair, same};
use crate::model::step::{Claims, Dropped};

impl<S, O> Pair<S, O>
where
    S: QueueStore,
    O: Fn(QueueConfig, Clock) -> QueueBackend<S>,
{
    pub(super) fn claim(&mut self, claims: &Claims) -> Agreed {
        // The first queue is the fence's, which holds nothing.
        let queues = self.queues - 1;
        if queues == 0 {
            return Ok(());
        }
        let claim = Claim {
            queue_id: i64::try_from(claims.queue % queues + 2).expect("there are few"),
            limit: claims.limit,
            suspects: claims.suspects,
            lease: LEASE,
            max_attempts: self.config.max_attempts,
        };
        match claims.dropped {
            Dropped::No => self.claim_and_hold(&claim),
            Dropped::Unpolled => {
                drop(self.subject().claim(claim));
                Ok(())
            }
            Dropped::Started => self.claim_unheard(claim),
        }
    }

    fn claim_and_hold(&mut self, claim: &Claim) -> Agreed {
        let expected = self.reference.claim(claim.clone()).wait();
        let found = self.subject().claim(claim.clone()).wait();
        let shown = |answer: &events_core::Result<Claimed>| {
            answer.as_ref().map(shown).map_err(ToString::to_string)
        };
        same("claim", &shown(&expected), &shown(&found))?;
        let (Ok(expected), Ok(found)) = (expected, found) else {
            return Err(TestCaseError::fail("a claim failed"));
        };
        let (rows, alone) = (expected.rows.len(), expected.alone);
        let before = alone && rows == 0;
        self.tally.count("claim: rows", rows);
        self.tally.count("claim: nothing", usize::from(rows == 0));
        self.tally
            .count("claim: alone", usize::from(alone && rows == 1));
        self.tally
            .count("claim: a suspect stands before", usize::from(before));
        self.tally.count("claim: dead", expected.dead);
        self.tally.count("claim: expired", expected.expired);
        for (reference, subject) in expected.rows.into_iter().zip(found.rows) {
            self.held.push(Hold {
                reference: reference.token,
                subject: subject.token,
                event_id: reference.event_id,
                alone,
            });
        }
        Ok(())
    }

    /// A claim whose answer nobody receives: what it brought is given back.
    fn claim_unheard(&mut self, claim: Claim) -> Agreed {
        let mut pending = self.subject().claim(claim.clone());
        pending.start();
        drop(pending);
        // The first is behind the claim, the second behind what the claim's end has queued.
        for _ in 0..2 {
            let _ = self
                .subject()
                .register(self.channels[FENCE].clone(), None)
                .wait();
        }
        let claimed = self
            .reference
            .claim(claim)
            .wait()
            .expect("the reference store does not fail");
        self.tally
            .count("claim: released unheard", claimed.rows.len());
        let release = |row: Row| StoreSettlement {
            token: row.token,
            event_id: row.event_id,
            verdict: StoreVerdict::Release {
                suspect: claimed.alone,
            },
        };
        let released = claimed.rows.into_iter().map(release).collect();
        let _ = self.reference.settle(released).wait();
        Ok(())
    }
}

/// What a claim brought, without what each store numbers by itself.
fn shown(claimed: &Claimed) -> impl Debug + use<> {
    let row = |row: &Row| {
        let mut row = row.clone();
        row.token.row = 0;
        row
    };
    let next_due = claimed.next_due.filter(|_| claimed.rows.is_empty());
    (
        claimed.rows.iter().map(row).collect::<Vec<_>>(),
        claimed.alone,
        claimed.dead,
        claimed.expired,
        next_due,
    )
}
