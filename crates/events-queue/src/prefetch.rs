//! Events held ahead of their handling: the buffer, and how large it may be.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use events_core::Timestamp;

use crate::{MAX_PREFETCH, Row};

/// A batch that is handled within this time was too small, one that takes longer too large.
const BRISK: Duration = Duration::from_millis(100);

/// A claimed event that nobody was given yet.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) row: Row,
    /// When the lease ends, by this process's steady clock; never later than in the database.
    pub(crate) until: Instant,
}

impl Held {
    /// The lease ends then; by the database's clock it is put off by as much.
    pub(crate) fn renew(&mut self, until: Instant) {
        self.row.lease_expires_at = moved(self.row.lease_expires_at, self.until, until);
        self.until = until;
    }

    /// What the database's clock shows at a moment; it may show a little less, by as long as the
    /// claim was under way.
    pub(crate) fn database_time(&self, at: Instant) -> Timestamp {
        moved(self.row.lease_expires_at, self.until, at)
    }
}

/// A time by the database's clock, moved as far as it is from one moment to another.
fn moved(time: Timestamp, from: Instant, to: Instant) -> Timestamp {
    let (later, earlier) = (
        to.saturating_duration_since(from),
        from.saturating_duration_since(to),
    );
    if later.is_zero() {
        time.checked_sub(earlier).unwrap_or(Timestamp::MIN)
    } else {
        time.checked_add(later).unwrap_or(Timestamp::MAX)
    }
}

/// The claimed events of one consumer, shared with the renewal of their leases.
#[derive(Debug, Default)]
pub(crate) struct Buffer(Mutex<VecDeque<Held>>);

impl Buffer {
    pub(crate) fn lock(&self) -> MutexGuard<'_, VecDeque<Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many events to claim at once.
///
/// It starts with what is handled at the same time and doubles while batches are handled briskly,
/// so a slow handler keeps nothing from other consumers.
#[derive(Debug)]
pub(crate) struct PrefetchSize {
    size: usize,
    least: usize,
    fixed: bool,
    filled_at: Option<Instant>,
}

impl PrefetchSize {
    pub(crate) fn new(concurrency: usize, fixed: Option<usize>) -> Self {
        let least = concurrency.clamp(1, MAX_PREFETCH);
        let size = fixed.map_or(least, |n| n.clamp(1, MAX_PREFETCH));
        Self {
            size,
            least,
            fixed: fixed.is_some(),
            filled_at: None,
        }
    }

    pub(crate) fn get(&self) -> usize {
        self.size
    }

    /// A claim brought as many events as were asked for.
    pub(crate) fn filled(&mut self, now: Instant) {
        self.filled_at = Some(now);
    }

    /// The consumer asks again: the batch has been handled.
    pub(crate) fn drained(&mut self, now: Instant) {
        let Some(filled_at) = self.filled_at.take().filter(|_| !self.fixed) else {
            return;
        };
        if now.duration_since(filled_at) <= BRISK {
            self.size = (self.size * 2).min(MAX_PREFETCH);
        } else {
            self.size = (self.size / 2).max(self.least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_while_batches_are_brisk_and_shrinks_when_slow() {
        let mut size = PrefetchSize::new(1, None);
        let start = Instant::now();
        let mut seen = vec![size.get()];
        for _ in 0..8 {
            size.filled(start);
            size.drained(start + Duration::from_millis(1));
            seen.push(size.get());
        }
        assert_eq!(seen, [1, 2, 4, 8, 16, 32, 64, 128, 128]);
        size.filled(start);
        size.drained(start + Duration::from_secs(1));
        assert_eq!(size.get(), 64);
    }

    #[test]
    fn a_fixed_size_stays_and_concurrency_is_the_least() {
        let mut fixed = PrefetchSize::new(1, Some(10));
        fixed.filled(Instant::now());
        fixed.drained(Instant::now());
        assert_eq!(fixed.get(), 10);
        assert_eq!(PrefetchSize::new(4, None).get(), 4);
        assert_eq!(PrefetchSize::new(500, None).get(), MAX_PREFETCH);
    }
}
