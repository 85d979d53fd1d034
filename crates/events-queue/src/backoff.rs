//! When a failed event is tried again: exponential, with full jitter.

use std::time::Duration;

/// The back-off policy: the n-th retry waits a random time up to `base * 2^(n-1)`, at most `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The upper bound of the first wait.
    pub base: Duration,
    /// The upper bound of every wait.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            max: Duration::from_secs(3600),
        }
    }
}

impl Backoff {
    /// The longest wait after `attempts` claims.
    #[must_use]
    pub fn ceiling(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        self.base.saturating_mul(1 << doublings).min(self.max)
    }

    /// A wait after `attempts` claims, evenly spread between zero and [`Backoff::ceiling`]: full
    /// jitter keeps failures that began together from returning together.
    #[must_use]
    pub fn delay(&self, attempts: u32) -> Duration {
        self.ceiling(attempts).mul_f64(fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_maximum() {
        let backoff = Backoff {
            base: Duration::from_secs(1),
            max: Duration::from_secs(10),
        };
        let ceilings: Vec<_> = (1..=6).map(|n| backoff.ceiling(n).as_secs()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 10, 10]);
        assert_eq!(
            Backoff::default().ceiling(u32::MAX),
            Duration::from_secs(3600)
        );
    }

    #[test]
    fn a_delay_stays_within_its_bounds_and_varies() {
        let backoff = Backoff::default();
        let delays: Vec<_> = (0..100).map(|_| backoff.delay(3)).collect();
        assert!(
            delays
                .iter()
                .all(|d| (0.0..=4.0).contains(&d.as_secs_f64()))
        );
        assert!(delays.iter().any(|d| *d != delays[0]));
    }
}
