//! Counts what the steps reached, so that a comparison of nothing cannot pass.

use std::collections::BTreeMap;

/// What a run must reach again and again.
const WANTED: [&str; 22] = [
    "claim: rows",
    "claim: nothing",
    "claim: alone",
    "claim: a suspect stands before",
    "claim: dead",
    "claim: expired",
    "claim: released unheard",
    "outcome: Recorded",
    "outcome: AlreadyAcked",
    "outcome: AlreadyNacked",
    "outcome: Gone",
    "publish: stored",
    "publish: repeated",
    "dead: max_attempts",
    "dead: rejected",
    "dead: expired",
    "requeued",
    "purged",
    "cleaned up: deleted",
    "cleaned up: expired",
    "clock set",
    "reopened",
];

#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<String, usize>);

impl Tally {
    pub(super) fn count(&mut self, what: impl Into<String>, times: usize) {
        if times > 0 {
            *self.0.entry(what.into()).or_default() += times;
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            self.count(what, *times);
        }
    }

    pub(super) fn assert_nothing_is_missing(&self, seed: u64) {
        let rare = |what: &&str| self.0.get(*what).copied().unwrap_or_default() < 10;
        let missing: Vec<_> = WANTED.into_iter().filter(rare).collect();
        assert!(
            missing.is_empty(),
            "EVENTS_TEST_SEED={seed}: the steps hardly reached {missing:?}: {:#?}",
            self.0
        );
    }
}
