//! What was decided about holds, so that a second verdict is told the first.

use std::collections::{HashMap, VecDeque};

use events_core::Settled;
use parking_lot::Mutex;

/// More verdicts than this are not remembered; the oldest is forgotten first.
const CAPACITY: usize = 65_536;

#[derive(Debug, Default)]
pub(crate) struct Verdicts(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    verdicts: HashMap<i64, Settled>,
    order: VecDeque<i64>,
}

impl Verdicts {
    /// Notes the final verdict about a hold.
    pub(crate) fn note(&self, hold: i64, verdict: Settled) {
        let mut inner = self.0.lock();
        if inner.order.len() >= CAPACITY
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.verdicts.remove(&oldest);
        }
        inner.verdicts.insert(hold, verdict);
        inner.order.push_back(hold);
    }

    /// The verdict about a hold, if it is remembered.
    pub(crate) fn of(&self, hold: i64) -> Option<Settled> {
        self.0.lock().verdicts.get(&hold).copied()
    }

    /// The verdict could not be recorded.
    pub(crate) fn forget(&self, hold: i64) {
        self.0.lock().verdicts.remove(&hold);
    }
}
