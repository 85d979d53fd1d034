//! A delivery and what its consumer said of it.

use super::{Delivered, Outcome, Recorded, Verdict};

/// A delivery, from the claim until its consumer let go or its lease ended.
#[derive(Debug)]
pub(super) struct Hold<'a> {
    pub(super) process: &'a str,
    pub(super) consumer: u32,
    /// When the consumer began to wait.
    pub(super) asked: u64,
    /// When it had the event; the claim was before.
    pub(super) got: u64,
    pub(super) got_wall: i64,
    pub(super) delivered: &'a Delivered,
    /// Verdicts, in the order in which they were begun.
    pub(super) settles: Vec<Settle<'a>>,
}

/// A verdict.
#[derive(Debug)]
pub(super) struct Settle<'a> {
    pub(super) verdict: Verdict,
    pub(super) begun: u64,
    pub(super) begun_wall: i64,
    /// When it answered.
    pub(super) done: Option<u64>,
    pub(super) outcome: Option<&'a Outcome<Recorded>>,
}

impl Settle<'_> {
    pub(super) fn is_recorded(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Ok(Recorded::Now)))
    }

    /// Whether it surely changed nothing.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Refused(_)))
    }

    fn ends_the_hold(&self) -> bool {
        !matches!(self.verdict, Verdict::Extend(_)) && !self.is_refused()
    }
}

impl Hold<'_> {
    /// Whether both are deliveries of one claim, which is a matter of the fence.
    pub(super) fn is_claim_of(&self, other: &Hold<'_>) -> bool {
        self.delivered.fence.is_some() && self.delivered.fence == other.delivered.fence
    }

    /// The verdict of this kind that was recorded.
    pub(super) fn recorded(&self, verdict: Verdict) -> Option<&Settle<'_>> {
        let recorded = |settle: &&Settle<'_>| settle.verdict == verdict && settle.is_recorded();
        self.settles.iter().find(recorded)
    }

    /// The first verdict of this kind that was recorded, or may have been.
    pub(super) fn may_have(&self, verdict: Verdict) -> Option<&Settle<'_>> {
        let may_be = |settle: &&Settle<'_>| settle.verdict == verdict && !settle.is_refused();
        self.settles.iter().find(may_be)
    }

    /// When the consumer let go of the event, at the earliest.
    pub(super) fn let_go(&self) -> Option<u64> {
        let ends = self.settles.iter().filter(|settle| settle.ends_the_hold());
        ends.map(|settle| settle.begun).min()
    }

    /// When the lease ends, at the earliest, by what was said before this moment. Renewals that
    /// the library makes by itself only put it off.
    pub(super) fn lease_until(&self, moment: u64) -> Option<i64> {
        let mut until = self.delivered.lease_until?;
        for settle in self.settles.iter().filter(|settle| settle.begun <= moment) {
            let Verdict::Extend(by) = settle.verdict else {
                continue;
            };
            let extended = settle.begun_wall + i64::try_from(by).unwrap_or(i64::MAX);
            if settle.is_recorded() && settle.done.is_some_and(|done| done <= moment) {
                until = extended;
            } else if !settle.is_refused() {
                // It may shorten the lease, but need not have been done yet.
                until = until.min(extended);
            }
        }
        Some(until)
    }
}
