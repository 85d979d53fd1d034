//! A bounded memory of verdicts, so that a second one can be told what the first was.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use events_core::{EventId, HoldToken, Pending, Settled};

use crate::Outcome;
use crate::unheard::{Earlier, Unheard};

/// More than this many tokens are not remembered; older ones are answered from the table.
const CAPACITY: usize = 65_536;
/// More verdicts than this whose callers gave up are not waited for.
const MAX_UNHEARD: usize = 1024;
/// How long a token is remembered after its lease can have ended.
const GRACE: Duration = Duration::from_secs(60);

/// Rows are reused once they are deleted, so a token alone would not do.
pub(crate) type Key = (HoldToken, EventId);

/// Holdings that this process has settled.
#[derive(Debug)]
pub(crate) struct SettledMemory {
    keep: Duration,
    inner: Mutex<Inner>,
    /// A copy for each answer that is waited for.
    unheard: Arc<()>,
}

#[derive(Debug)]
enum Noted {
    Sent(Settled),
    /// Its caller gave up; its answer is the one of that number.
    Unheard(Settled, Arc<Unheard>, usize),
}

impl Noted {
    /// What is known of it now.
    fn hear(&self) -> Earlier {
        match self {
            Self::Sent(verdict) => Earlier::Sent(*verdict),
            Self::Unheard(verdict, answer, nr) => answer.hear(*nr, *verdict),
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    verdicts: HashMap<Key, (Noted, Instant)>,
    /// Oldest first; what was forgotten still stands here.
    order: VecDeque<(Instant, Key)>,
}

impl SettledMemory {
    pub(crate) fn new(lease: Duration) -> Self {
        Self {
            keep: lease + GRACE,
            inner: Mutex::default(),
            unheard: Arc::default(),
        }
    }

    /// Notes a final verdict when it is sent; answers the one that was noted before, which stands.
    ///
    /// If it then turns out not to be recorded it has to be forgotten.
    pub(crate) fn note(&self, token: Key, verdict: Settled) -> Earlier {
        self.note_at(Instant::now(), token, verdict)
    }

    fn note_at(&self, now: Instant, token: Key, verdict: Settled) -> Earlier {
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
            Entry::Occupied(mut first) => {
                let earlier = first.get().0.hear();
                match earlier {
                    Earlier::None => first.get_mut().0 = Noted::Sent(verdict),
                    Earlier::Sent(stands) => first.get_mut().0 = Noted::Sent(stands),
                    Earlier::Unheard => {}
                }
                earlier
            }
            Entry::Vacant(entry) => {
                entry.insert((Noted::Sent(verdict), now));
                inner.order.push_back((now, token));
                Earlier::None
            }
        }
    }

    /// What is known of a final verdict on this token.
    pub(crate) fn recall(&self, token: &Key) -> Earlier {
        let inner = self.lock();
        let noted = inner.verdicts.get(token);
        noted.map_or(Earlier::None, |(noted, _)| noted.hear())
    }

    /// A verdict was recorded after one whose answer nobody had heard.
    pub(crate) fn stands(&self, token: &Key, verdict: Settled) {
        if let Some(noted) = self.lock().verdicts.get_mut(token) {
            noted.0 = Noted::Sent(verdict);
        }
    }

    /// The caller of these verdicts gave up before the answer, which will have each at its number.
    pub(crate) fn give_up(
        &self,
        answer: Pending<Vec<Outcome>>,
        verdicts: impl Iterator<Item = (usize, Key)>,
    ) {
        let few = Arc::strong_count(&self.unheard) <= MAX_UNHEARD;
        let answer = few.then(|| Unheard::new(answer, Arc::clone(&self.unheard)));
        let mut inner = self.lock();
        for (nr, key) in verdicts {
            let Entry::Occupied(mut noted) = inner.verdicts.entry(key) else {
                continue;
            };
            match (&noted.get().0, &answer) {
                (Noted::Sent(verdict), Some(answer)) => {
                    let unheard = Noted::Unheard(*verdict, Arc::clone(answer), nr);
                    noted.get_mut().0 = unheard;
                }
                // The table has to tell.
                _ => drop(noted.remove()),
            }
        }
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
        assert_eq!(memory.note(token(1), Settled::AlreadyAcked), Earlier::None);
        assert_eq!(
            memory.note(token(1), Settled::AlreadyNacked),
            Earlier::Sent(Settled::AlreadyAcked)
        );
        assert_eq!(
            memory.recall(&token(1)),
            Earlier::Sent(Settled::AlreadyAcked)
        );
        assert_eq!(memory.recall(&token(2)), Earlier::None);
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
        assert_eq!(
            memory.recall(&token(1)),
            Earlier::Sent(Settled::AlreadyAcked)
        );
        note(61_000, 3);
        assert_eq!(memory.recall(&token(1)), Earlier::None);
        assert_eq!(
            memory.recall(&token(2)),
            Earlier::Sent(Settled::AlreadyAcked)
        );
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
        assert_eq!(
            memory.recall(&token(0)),
            Earlier::Sent(Settled::AlreadyAcked)
        );
        assert!(memory.lock().order.len() <= CAPACITY);
        memory.note(token(others + 1), Settled::AlreadyAcked);
        assert_eq!(
            memory.recall(&token(0)),
            Earlier::None,
            "now it is the oldest"
        );
    }

    #[test]
    fn memory_is_bounded_and_forgets_the_oldest() {
        let memory = SettledMemory::new(Duration::from_secs(1));
        for row in 0..=i64::try_from(CAPACITY).unwrap() {
            memory.note(token(row), Settled::AlreadyAcked);
        }
        assert_eq!(memory.lock().verdicts.len(), CAPACITY);
        assert_eq!(memory.recall(&token(0)), Earlier::None);
    }

    fn given_up(memory: &SettledMemory, answer: Pending<Vec<Outcome>>) {
        memory.note(token(1), Settled::AlreadyAcked);
        memory.give_up(answer, [(0, token(1))].into_iter());
    }

    #[test]
    fn what_was_given_up_is_told_once_it_is_known() {
        let acked = Earlier::Sent(Settled::AlreadyAcked);
        let nacked = Earlier::Sent(Settled::AlreadyNacked);
        let error = || events_core::Error::new(events_core::ErrorKind::Busy, events_core::Op::Ack);
        let known = [
            (Ok(vec![Outcome::Recorded]), acked),
            (Ok(vec![Outcome::AlreadyAcked]), acked),
            (Ok(vec![Outcome::AlreadyNacked]), nacked),
            (Ok(vec![Outcome::Gone]), Earlier::None),
            (Ok(vec![]), Earlier::None),
            (Err(error()), Earlier::None),
        ];
        for (answer, expected) in known {
            let memory = SettledMemory::new(Duration::from_secs(1));
            given_up(&memory, Pending::ready(answer));
            assert_eq!(memory.recall(&token(1)), expected);
            assert_eq!(memory.note(token(1), Settled::AlreadyNacked), expected);
            let stands = match expected {
                Earlier::None => nacked,
                earlier => earlier,
            };
            assert_eq!(memory.recall(&token(1)), stands);
        }
    }

    #[test]
    fn what_is_not_known_yet_stays_so_until_another_verdict_is_recorded() {
        let memory = SettledMemory::new(Duration::from_secs(1));
        given_up(&memory, Pending::from_future(std::future::pending()));
        let note = || memory.note(token(1), Settled::AlreadyNacked);
        assert_eq!([note(), note()], [Earlier::Unheard; 2]);
        memory.stands(&token(1), Settled::AlreadyNacked);
        assert_eq!(note(), Earlier::Sent(Settled::AlreadyNacked));
    }

    #[test]
    fn answers_that_nobody_waits_for_are_kept_up_to_a_number() {
        let memory = SettledMemory::new(Duration::from_secs(1));
        let many = i64::try_from(MAX_UNHEARD).unwrap();
        for row in 0..=many {
            memory.note(token(row), Settled::AlreadyAcked);
            let pending = Pending::from_future(std::future::pending());
            memory.give_up(pending, [(0, token(row))].into_iter());
        }
        assert_eq!(memory.recall(&token(many - 1)), Earlier::Unheard);
        assert_eq!(memory.recall(&token(many)), Earlier::None);
    }
}
