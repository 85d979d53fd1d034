//! The clock of a database that runs inside this process.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use events_core::Timestamp;

/// Less is no jump: a busy machine may pause between the looks at the two clocks.
const LEAST_JUMP: Duration = Duration::from_secs(1);

/// The clock of the host: its wall clock, and a steady one to check it by. Clones share it.
///
/// It notices when the wall clock jumps against the steady one. A jump ahead makes every lease
/// look ended, so for one lease after it no lease counts as ended: their holders renew meanwhile.
///
/// A test may move it, and may have one that stands still.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Where a clock that stands still stands; `None` is the host's own.
    still: Option<Reading>,
    /// Time that a test let pass, in microseconds, by both clocks.
    passed: AtomicI64,
    /// How far a test has set the wall clock off, in microseconds.
    set_off: AtomicI64,
    seen: Mutex<Option<Seen>>,
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    steady: Instant,
    micros: i64,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    at: Reading,
    trust_from: Option<Instant>,
}

impl Clock {
    /// The host's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands still until a test moves it.
    #[must_use]
    pub fn still(at: Timestamp) -> Self {
        Self(Arc::new(State {
            still: Some(Reading {
                steady: Instant::now(),
                micros: at.as_microsecond(),
            }),
            ..State::default()
        }))
    }

    /// Lets time pass, as a test of leases and delays wants it. It is no jump, so leases end by it.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.passed.fetch_add(by, Ordering::SeqCst);
    }

    /// Sets the wall clock, as an administrator or a time server does, while the steady one goes
    /// on.
    pub fn set(&self, to: Timestamp) {
        let by = to.as_microsecond() - self.micros();
        self.0.set_off.fetch_add(by, Ordering::SeqCst);
    }

    /// Now, in microseconds since 1970.
    #[must_use]
    pub fn micros(&self) -> i64 {
        self.read().micros
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
        let now = self.read();
        if self.trusted(now, lease) {
            now.micros
        } else {
            i64::MIN
        }
    }

    fn read(&self) -> Reading {
        let host = self.0.still.unwrap_or_else(|| Reading {
            steady: Instant::now(),
            micros: Timestamp::now().as_microsecond(),
        });
        let passed = self.0.passed.load(Ordering::SeqCst);
        Reading {
            steady: host.steady + Duration::from_micros(passed.unsigned_abs()),
            micros: host.micros + passed + self.0.set_off.load(Ordering::SeqCst),
        }
    }

    /// Compares the two clocks with the last look at them.
    fn trusted(&self, now: Reading, lease: Duration) -> bool {
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let trust_from = match *seen {
            None => None,
            Some(last) => {
                let passed = now.steady.saturating_duration_since(last.at.steady);
                let passed = i64::try_from(passed.as_micros()).unwrap_or(i64::MAX);
                let jump = (now.micros - last.at.micros - passed).unsigned_abs();
                if u128::from(jump) > (lease / 2).max(LEAST_JUMP).as_micros() {
                    tracing::warn!(
                        jump_micros = jump,
                        "the clock jumped; ended leases wait for one lease"
                    );
                    Some(now.steady + lease)
                } else {
                    last.trust_from.filter(|from| *from > now.steady)
                }
            }
        };
        *seen = Some(Seen {
            at: now,
            trust_from,
        });
        trust_from.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(10);
    const SECOND: Duration = Duration::from_secs(1);

    fn still() -> Clock {
        Clock::still(Timestamp::UNIX_EPOCH)
    }

    fn trusts(clock: &Clock) -> bool {
        clock.leases_end_before(LEASE) != i64::MIN
    }

    #[test]
    fn a_test_can_move_it_and_leases_end_by_that() {
        for clock in [Clock::system(), still()] {
            assert!(trusts(&clock));
            let before = clock.micros();
            clock.clone().advance(LEASE * 6);
            assert!(clock.micros() - before >= 60_000_000);
            assert!(clock.leases_end_before(LEASE) >= before + 60_000_000);
        }
    }

    #[test]
    fn after_a_jump_no_lease_ends_for_one_lease() {
        for (from, to) in [(0, 3600), (3600, 0)] {
            let at = |s| Timestamp::from_second(s).unwrap();
            let clock = Clock::still(at(from));
            assert!(trusts(&clock));
            clock.advance(SECOND);
            clock.set(at(to));
            assert_eq!(clock.now(), at(to));
            assert!(!trusts(&clock));
            clock.advance(LEASE - Duration::from_micros(1));
            assert!(!trusts(&clock));
            clock.advance(Duration::from_micros(1));
            assert!(trusts(&clock));
        }
    }

    #[test]
    fn a_jump_of_half_a_lease_is_none_and_a_short_lease_allows_a_second() {
        let clock = still();
        assert!(trusts(&clock));
        clock.set(clock.now() + LEASE / 2);
        assert!(trusts(&clock));
        clock.set(clock.now() + LEASE / 2 + Duration::from_micros(1));
        assert!(!trusts(&clock));

        let (clock, short) = (still(), SECOND / 10);
        let trusts = |clock: &Clock| clock.leases_end_before(short) != i64::MIN;
        assert!(trusts(&clock));
        clock.set(clock.now() + SECOND);
        assert!(trusts(&clock));
        clock.set(clock.now() + SECOND + Duration::from_micros(1));
        assert!(!trusts(&clock));
    }

    #[test]
    fn a_second_jump_begins_the_wait_anew() {
        let clock = still();
        assert!(trusts(&clock));
        for _ in 0..3 {
            clock.set(clock.now() + LEASE);
            assert!(!trusts(&clock));
            clock.advance(LEASE / 2);
        }
        assert!(!trusts(&clock));
        clock.advance(LEASE / 2);
        assert!(trusts(&clock));
    }
}
