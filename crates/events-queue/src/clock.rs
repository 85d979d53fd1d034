//! The clock of a database that runs inside this process.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use events_core::Timestamp;

/// Less is no jump: a busy machine may pause between the looks at the two clocks.
const LEAST_JUMP: Duration = Duration::from_secs(1);

/// The host's wall clock, which a test may move; clones share it.
///
/// It notices when the wall clock jumps against the steady one. A jump ahead makes every lease
/// look ended, so for one lease after it no lease counts as ended: their holders renew meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<State>);

#[derive(Debug, Default)]
struct State {
    moved: AtomicI64,
    seen: Mutex<Option<Seen>>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    steady: Instant,
    micros: i64,
    trust_from: Option<Instant>,
}

impl Clock {
    /// The host's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// Moves this clock ahead, as a test of leases and delays wants it.
    ///
    /// It is no jump of the host's clock, so leases end by it.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.moved.fetch_add(by, Ordering::SeqCst);
    }

    /// Now, in microseconds since 1970.
    #[must_use]
    pub fn micros(&self) -> i64 {
        self.host() + self.0.moved.load(Ordering::SeqCst)
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.micros()).unwrap_or(Timestamp::MAX)
    }

    /// The moment before which a lease has ended; in the far past while a jump of the clock is
    /// fresh.
    #[must_use]
    pub fn leases_end_before(&self, lease: Duration) -> i64 {
        let steady = Instant::now();
        if self.trusted(steady, self.host(), lease) {
            self.micros()
        } else {
            i64::MIN
        }
    }

    fn host(&self) -> i64 {
        Timestamp::now().as_microsecond()
    }

    /// Compares the two clocks with the last look at them.
    fn trusted(&self, steady: Instant, micros: i64, lease: Duration) -> bool {
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let trust_from = match *seen {
            None => None,
            Some(last) => {
                let passed = i64::try_from((steady - last.steady).as_micros()).unwrap_or(i64::MAX);
                let jump = (micros - last.micros - passed).unsigned_abs();
                if u128::from(jump) > (lease / 2).max(LEAST_JUMP).as_micros() {
                    tracing::warn!(
                        jump_micros = jump,
                        "the clock jumped; ended leases wait for one lease"
                    );
                    Some(steady + lease)
                } else {
                    last.trust_from.filter(|from| *from > steady)
                }
            }
        };
        *seen = Some(Seen {
            steady,
            micros,
            trust_from,
        });
        trust_from.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    #[test]
    fn a_test_can_move_it() {
        let clock = Clock::system();
        let before = clock.micros();
        clock.clone().advance(Duration::from_secs(60));
        assert!(clock.micros() - before >= 60_000_000);
        assert!(clock.leases_end_before(LEASE) > before);
    }

    #[test]
    fn after_a_jump_no_lease_ends_for_one_lease() {
        let clock = Clock::system();
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        assert!(clock.trusted(at(0), 0, LEASE));
        assert!(clock.trusted(at(1), 1_000_000, LEASE));
        for jump in [3_600_000_000, -3_600_000_000] {
            let clock = Clock::system();
            assert!(clock.trusted(at(0), 0, LEASE));
            assert!(!clock.trusted(at(1), 1_000_000 + jump, LEASE));
            assert!(!clock.trusted(at(5), 5_000_000 + jump, LEASE));
            assert!(clock.trusted(at(12), 12_000_000 + jump, LEASE));
        }
    }
}
