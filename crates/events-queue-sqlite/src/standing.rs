//! Claims that were left for later: the transaction that stores something for their queue carries
//! them out, so that a waiting consumer is woken with its events and need not ask for them.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use crate::job::Job;

/// Claims of waiting consumers, by queue, the one that has waited longest first.
#[derive(Default)]
pub(crate) struct Standing(HashMap<i64, VecDeque<Box<dyn Job>>>);

/// A claim that was taken to be carried out.
pub(crate) struct Called {
    pub(crate) queue_id: i64,
    pub(crate) claim: Box<dyn Job>,
}

impl Standing {
    pub(crate) fn push(&mut self, queue_id: i64, claim: Box<dyn Job>) {
        self.0.entry(queue_id).or_default().push_back(claim);
    }

    /// Takes up to `most` claims of a queue.
    pub(crate) fn call(&mut self, queue_id: i64, most: usize, called: &mut Vec<Called>) {
        let Some(waiting) = self.0.get_mut(&queue_id) else {
            return;
        };
        let claims = std::iter::from_fn(|| waiting.pop_front());
        let wanted = claims.filter(|claim| !claim.is_cancelled()).take(most);
        called.extend(wanted.map(|claim| Called { queue_id, claim }));
        self.forget_if_empty(queue_id);
    }

    /// Claims that were called and not carried out stand again, in the order they had.
    pub(crate) fn put_back(&mut self, called: Vec<Called>) {
        for Called { queue_id, claim } in called.into_iter().rev() {
            self.0.entry(queue_id).or_default().push_front(claim);
        }
    }

    /// Drops claims of a queue that were taken back.
    pub(crate) fn sweep(&mut self, queue_id: i64) {
        if let Some(waiting) = self.0.get_mut(&queue_id) {
            waiting.retain(|claim| !claim.is_cancelled());
            self.forget_if_empty(queue_id);
        }
    }

    /// Takes all of them.
    pub(crate) fn drain(&mut self) -> Vec<Box<dyn Job>> {
        self.0.drain().flat_map(|(_, claims)| claims).collect()
    }

    fn forget_if_empty(&mut self, queue_id: i64) {
        if self.0.get(&queue_id).is_some_and(VecDeque::is_empty) {
            self.0.remove(&queue_id);
        }
    }
}
