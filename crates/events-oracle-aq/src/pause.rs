//! Pauses between attempts while the server is away.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Doubles from failure to failure, with jitter so that sessions do not come back together.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    failures: u32,
}

impl Pause {
    /// The pause after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let longest = FIRST
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST);
        self.failures += 1;
        longest.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Whether the last attempt failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// It works again.
    pub(crate) fn end(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded() {
        let mut pause = Pause::default();
        assert!(pause.next() <= FIRST);
        for _ in 0..40 {
            pause.next();
        }
        let long = pause.next();
        assert!(long <= LONGEST && long >= LONGEST / 2, "{long:?}");
        pause.end();
        assert!(pause.next() <= FIRST);
    }
}
