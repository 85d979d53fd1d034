//! A bounded memory of verdicts, so that a second one can be told what the first was.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use events_core::{EventId, HoldToken, Settled};

/// More than this many tokens are not remembered; older ones are answered from the table.
const CAPACITY: usize = 65_536;
/// How long a token is remembered after its lease can have ended.
const GRACE: Duration = Duration::from_secs(60);

/// Rows are reused once they are deleted, so a token alone would not do.
pub(crate) type Key = (HoldToken, EventId);

/// Holdings that this process has settled.
#[derive(Debug)]
pub(crate) struct SettledMemory {
    keep: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    verdicts: HashMap<Key, Settled>,
    order: VecDeque<(Instant, Key)>,
}

impl SettledMemory {
    pub(crate) fn new(lease: Duration) -> Self {
        Self {
            keep: lease + GRACE,
            inner: Mutex::default(),
        }
    }

    /// Notes a final verdict when it is sent; answers the one that was noted before, which stands.
    ///
    /// If it then turns out not to be recorded it has to be forgotten.
    pub(crate) fn note(&self, token: Key, verdict: Settled) -> Option<Settled> {
        let now = Instant::now();
        let mut inner = self.lock();
        while let Some((at, oldest)) = inner.order.front().copied() {
            if inner.order.len() < CAPACITY && now.duration_since(at) < self.keep {
                break;
            }
            inner.order.pop_front();
            inner.verdicts.remove(&oldest);
        }
        match inner.verdicts.entry(token) {
            Entry::Occupied(first) => Some(*first.get()),
            Entry::Vacant(entry) => {
                entry.insert(verdict);
                inner.order.push_back((now, token));
                None
            }
        }
    }

    /// The verdict that was sent for this token.
    pub(crate) fn recall(&self, token: &Key) -> Option<Settled> {
        self.lock().verdicts.get(token).copied()
    }

    /// The verdict was not recorded.
    pub(crate) fn forget(&self, token: &Key) {
        self.lock().verdicts.remove(token);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(row: i64) -> Key {
        let hold = HoldToken {
            queue_id: 1,
            row,
            fence: 1,
            priority: 0,
            attempts: 1,
            keyed: false,
        };
        (hold, EventId::from_bytes([0; 16]))
    }

    #[test]
    fn the_first_verdict_stands() {
        let memory = SettledMemory::new(Duration::from_secs(1));
        assert_eq!(memory.note(token(1), Settled::AlreadyAcked), None);
        assert_eq!(
            memory.note(token(1), Settled::AlreadyNacked),
            Some(Settled::AlreadyAcked)
        );
        assert_eq!(memory.recall(&token(1)), Some(Settled::AlreadyAcked));
        assert_eq!(memory.recall(&token(2)), None);
    }

    #[test]
    fn memory_is_bounded_and_forgets_the_oldest() {
        let memory = SettledMemory::new(Duration::from_secs(1));
        for row in 0..=i64::try_from(CAPACITY).unwrap() {
            memory.note(token(row), Settled::AlreadyAcked);
        }
        assert_eq!(memory.lock().verdicts.len(), CAPACITY);
        assert_eq!(memory.recall(&token(0)), None);
    }
}
