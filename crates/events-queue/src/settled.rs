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
    verdicts: HashMap<Key, (Settled, Instant)>,
    /// Oldest first; what was forgotten still stands here.
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
        self.note_at(Instant::now(), token, verdict)
    }

    fn note_at(&self, now: Instant, token: Key, verdict: Settled) -> Option<Settled> {
        let mut inner = self.lock();
        while let Some((at, oldest)) = inner.order.front().copied() {
            if inner.order.len() < CAPACITY && now.duration_since(at) < self.keep {
                break;
            }
            inner.order.pop_front();
            // What was noted again after it was forgotten has a later place.
            if inner
                .verdicts
                .get(&oldest)
                .is_some_and(|noted| noted.1 == at)
            {
                inner.verdicts.remove(&oldest);
            }
        }
        match inner.verdicts.entry(token) {
            Entry::Occupied(first) => Some(first.get().0),
            Entry::Vacant(entry) => {
                entry.insert((verdict, now));
                inner.order.push_back((now, token));
                None
            }
        }
    }

    /// The verdict that was sent for this token.
    pub(crate) fn recall(&self, token: &Key) -> Option<Settled> {
        self.lock().verdicts.get(token).map(|noted| noted.0)
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
    fn a_verdict_is_remembered_for_its_lease_and_a_minute() {
        let memory = SettledMemory::new(Duration::from_secs(1));
        let start = Instant::now();
        let note = |millis, row| {
            let at = start + Duration::from_millis(millis);
            memory.note_at(at, token(row), Settled::AlreadyAcked)
        };
        note(0, 1);
        note(60_999, 2);
        assert_eq!(memory.recall(&token(1)), Some(Settled::AlreadyAcked));
        note(61_000, 3);
        assert_eq!(memory.recall(&token(1)), None);
        assert_eq!(memory.recall(&token(2)), Some(Settled::AlreadyAcked));
    }

    /// A verdict is noted, forgotten because it was not recorded, and noted again; meanwhile others
    /// fill the memory. Its first place in the order must not take the second with it.
    #[test]
    fn what_is_noted_again_is_kept_as_long_as_anything() {
        let memory = SettledMemory::new(Duration::from_secs(1));
        memory.note(token(0), Settled::AlreadyNacked);
        memory.forget(&token(0));
        std::thread::sleep(Duration::from_millis(2)); // the clock has moved on
        memory.note(token(0), Settled::AlreadyAcked);
        let others = i64::try_from(CAPACITY).unwrap() - 1;
        for row in 1..=others {
            memory.note(token(row), Settled::AlreadyAcked);
        }
        assert_eq!(memory.recall(&token(0)), Some(Settled::AlreadyAcked));
        assert!(memory.lock().order.len() <= CAPACITY);
        memory.note(token(others + 1), Settled::AlreadyAcked);
        assert_eq!(memory.recall(&token(0)), None, "now it is the oldest");
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
