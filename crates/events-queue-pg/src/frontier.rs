//! Where the next claim begins to read.
//!
//! A claim reads the index of its queue in the order of delivery and would pass every event that
//! is leased, and every index entry of an event that is gone and not vacuumed yet. So this process
//! remembers for each priority how far claims have come, and they begin behind that. What is or
//! becomes claimable before it is known from verdicts and wake-ups, or found by a turn: events
//! that came back, and those of transactions that took their ids early and committed late.
//!
//! - `plan`: what a claim is to read.
//! - `state`: what is known of a queue, and what changes it.
//! - `told`: what was told of events while claims were under way.

mod plan;
mod state;
#[cfg(test)]
mod tests;
mod told;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

pub(crate) use self::plan::Plan;
pub(crate) use self::state::State;

/// An event's place in its queue: priority as it is stored, and id.
pub(crate) type Place = (i32, i64);

/// The frontiers of the queues that this process consumes.
#[derive(Debug)]
pub(crate) struct Frontiers {
    poll_interval: Duration,
    queues: Mutex<HashMap<i64, Arc<Frontier>>>,
}

impl Frontiers {
    pub(crate) fn new(poll_interval: Duration) -> Self {
        Self {
            poll_interval,
            queues: Mutex::default(),
        }
    }

    /// The frontier of a queue; made for its first claim.
    pub(crate) fn of(&self, queue_id: i64) -> Arc<Frontier> {
        let mut queues = self.queues.lock();
        let frontier = queues.entry(queue_id).or_insert_with(|| {
            Arc::new(Frontier {
                // A little less, so that a consumer which polls is never a moment too early.
                interval: self.poll_interval * 3 / 4,
                turning: AtomicBool::new(false),
                state: Mutex::default(),
            })
        });
        Arc::clone(frontier)
    }

    /// The next claim of each queue looks everywhere.
    pub(crate) fn stir_all(&self) {
        for frontier in self.queues.lock().values() {
            frontier.lock().stir();
        }
    }

    /// A connection is new: if the server has crashed, it may give ids out again, and what was
    /// settled last may be there again.
    pub(crate) fn doubt(&self) {
        for frontier in self.queues.lock().values() {
            frontier.lock().doubt();
        }
    }

    /// The frontier of a queue that was claimed from before.
    pub(crate) fn known(&self, queue_id: i64) -> Option<Arc<Frontier>> {
        self.queues.lock().get(&queue_id).cloned()
    }
}

/// What is known of one queue.
#[derive(Debug)]
pub(crate) struct Frontier {
    interval: Duration,
    turning: AtomicBool,
    state: Mutex<State>,
}

impl Frontier {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The right to do a turn, unless another task has it or none is needed yet.
    pub(crate) fn begin_turn(&self) -> Option<Turning<'_>> {
        let mut state = self.lock();
        if !state.wants_turn(self.interval) || self.turning.swap(true, Ordering::Acquire) {
            return None;
        }
        state.turning();
        Some(Turning(&self.turning))
    }
}

/// Held by whoever does a turn.
pub(crate) struct Turning<'a>(&'a AtomicBool);

impl Drop for Turning<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
