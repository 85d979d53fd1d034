//! Events that were claimed alone, and are not settled yet.
//!
//! While one of them is being handled its consumer claims nothing else: should it kill the
//! process, no neighbour loses an attempt.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_listener::{Event, EventListener};
use events_core::HoldToken;

#[derive(Debug, Default)]
pub(crate) struct AloneHolds {
    count: AtomicUsize,
    until: Mutex<HashMap<HoldToken, Instant>>,
    changed: Event,
}

impl AloneHolds {
    pub(crate) fn insert(&self, token: HoldToken, until: Instant) {
        let mut holds = self.lock();
        holds.insert(token, until);
        self.count.store(holds.len(), Ordering::SeqCst);
    }

    pub(crate) fn contains(&self, token: &HoldToken) -> bool {
        self.count.load(Ordering::SeqCst) > 0 && self.lock().contains_key(token)
    }

    /// The holding was settled.
    pub(crate) fn remove(&self, token: &HoldToken) {
        self.change(|holds| holds.remove(token).is_some());
    }

    /// The holding's lease now ends then.
    pub(crate) fn extend(&self, token: &HoldToken, by: Duration) {
        self.change(|holds| {
            holds.get_mut(token).is_some_and(|until| {
                *until = Instant::now() + by;
                true
            })
        });
    }

    /// How long a consumer has to wait for this holding, and a listener for its end.
    pub(crate) fn wait_for(&self, token: &HoldToken) -> Option<(EventListener, Duration)> {
        let listener = self.changed.listen();
        let until = self.lock().get(token).copied()?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            self.remove(token);
            return None;
        }
        Some((listener, left))
    }

    /// Nearly always there is none, and settling must not pay for it.
    fn change(&self, change: impl FnOnce(&mut HashMap<HoldToken, Instant>) -> bool) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut holds = self.lock();
        if change(&mut holds) {
            self.count.store(holds.len(), Ordering::SeqCst);
            self.changed.notify(usize::MAX);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<HoldToken, Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_listener::Listener as _;

    const LEASE: Duration = Duration::from_secs(3600);

    fn token(row: i64) -> HoldToken {
        HoldToken {
            queue_id: 1,
            row,
            fence: 1,
            priority: 0,
            attempts: 2,
            keyed: false,
        }
    }

    #[test]
    fn a_hold_is_there_until_it_is_settled() {
        let holds = AloneHolds::default();
        assert!(!holds.contains(&token(1)));
        for row in 1..=2 {
            holds.insert(token(row), Instant::now() + LEASE);
        }
        assert!(holds.contains(&token(1)) && !holds.contains(&token(3)));
        let (listener, left) = holds.wait_for(&token(1)).unwrap();
        assert!(left <= LEASE && left > LEASE / 2);
        holds.remove(&token(3));
        let (unmoved, _) = holds.wait_for(&token(1)).unwrap();
        assert!(unmoved.wait_timeout(Duration::ZERO).is_none());
        holds.remove(&token(1));
        assert!(listener.wait_timeout(Duration::ZERO).is_some());
        assert!(holds.wait_for(&token(1)).is_none());
        assert!(holds.contains(&token(2)));
    }

    #[test]
    fn a_hold_whose_lease_has_ended_is_not_waited_for_unless_it_was_extended() {
        let holds = AloneHolds::default();
        for row in 1..=2 {
            holds.insert(token(row), Instant::now());
        }
        holds.extend(&token(2), LEASE);
        assert!(holds.wait_for(&token(1)).is_none());
        assert!(!holds.contains(&token(1)), "it is forgotten");
        let (_, left) = holds.wait_for(&token(2)).unwrap();
        assert!(left <= LEASE && left > LEASE / 2);
    }
}
