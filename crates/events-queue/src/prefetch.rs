//! Events held ahead of their handling: the buffer, and how large it may be.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use events_core::Timestamp;

use crate::claiming::Claiming;
use crate::{MAX_PREFETCH, Row};

/// A batch that is handled within this time was too small, one that takes longer too large.
const BRISK: Duration = Duration::from_millis(100);

/// A claimed event that nobody was given yet.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) row: Row,
    /// When the lease ends, by this process's steady clock; never later than in the database.
    pub(crate) until: Instant,
    claimed: LeaseOfClaim,
}

/// When the lease that the claim gave ends: by the database's clock, and by ours at the earliest
/// and at the latest.
#[derive(Debug, Clone, Copy)]
struct LeaseOfClaim {
    end: Timestamp,
    earliest: Instant,
    latest: Instant,
}

impl Held {
    /// A row that was claimed between `asked` and `answered`.
    pub(crate) fn new(row: Row, asked: Instant, answered: Instant, lease: Duration) -> Self {
        Self {
            until: asked + lease,
            claimed: LeaseOfClaim {
                end: row.lease_expires_at,
                earliest: asked + lease,
                latest: answered + lease,
            },
            row,
        }
    }

    /// The lease ends then at the earliest; so does, by the database's clock, what is told of it.
    pub(crate) fn renew(&mut self, until: Instant) {
        self.row.lease_expires_at = moved(self.claimed.end, self.claimed.latest, until);
        self.until = until;
    }

    /// What the database's clock shows at a moment at the latest; it may show less, by as long as
    /// the claim was under way.
    pub(crate) fn database_time(&self, at: Instant) -> Timestamp {
        moved(self.claimed.end, self.claimed.earliest, at)
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
pub(crate) struct Buffer {
    held: Mutex<VecDeque<Held>>,
    /// The claim that will bring more.
    pub(crate) claiming: Claiming,
}

impl Buffer {
    pub(crate) fn lock(&self) -> MutexGuard<'_, VecDeque<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
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
    use events_core::{EventId, HoldToken};

    /// The claim was asked for at 0 s and answered at 2 s; the database made it at its 100th second.
    #[test]
    fn times_by_the_databases_clock_err_on_the_safe_side() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let time = |second| Timestamp::from_second(second).unwrap();
        let row = Row {
            token: HoldToken {
                queue_id: 1,
                row: 1,
                fence: 1,
                priority: 0,
                attempts: 1,
                keyed: false,
            },
            event_id: EventId::new(),
            payload: String::new(),
            metadata: None,
            available_at: time(100),
            lease_expires_at: time(130),
            created_at: time(100),
            expires_at: None,
        };
        let mut held = Held::new(row, at(0), at(2), Duration::from_secs(30));
        assert_eq!(held.until, at(30));
        assert_eq!(held.database_time(at(10)), time(110));
        for renewed in [40, 60] {
            held.renew(at(renewed));
            assert_eq!(held.until, at(renewed));
            let told = time(100 + i64::try_from(renewed).unwrap() - 2);
            assert_eq!(held.row.lease_expires_at, told);
            assert_eq!(held.database_time(at(10)), time(110));
        }
    }

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
