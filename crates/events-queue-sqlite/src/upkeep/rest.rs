//! When a database counts as being at rest.

use std::time::{Duration, Instant};

/// No commit for this long, and everything is copied.
const IDLE: Duration = Duration::from_secs(1);
/// So long after the first commit that was not dealt with everything is copied, rest or not; and
/// attempts that fail come after doubling pauses up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// When everything is to be copied next.
#[derive(Debug)]
pub(super) struct Rest {
    /// The commits that were dealt with.
    settled: u64,
    seen: u64,
    /// The last commit was seen then, or the last attempt failed then.
    quiet_since: Instant,
    /// The first commit that was not dealt with was seen then, or the last attempt failed then.
    left_since: Instant,
    pause: Duration,
}

impl Rest {
    pub(super) fn new(commits: u64) -> Self {
        let now = Instant::now();
        Self {
            settled: commits,
            seen: commits,
            quiet_since: now,
            left_since: now,
            pause: IDLE,
        }
    }

    pub(super) fn saw(&mut self, commits: u64, now: Instant) {
        if commits == self.seen {
            return;
        }
        if self.seen == self.settled {
            self.left_since = now;
        }
        self.seen = commits;
        self.quiet_since = now;
    }

    /// How long to wait before everything is copied; `None` if nothing is left to do.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let since = |at| now.saturating_duration_since(at);
        let rested = self.pause.saturating_sub(since(self.quiet_since));
        let at_last = LONGEST_PAUSE.saturating_sub(since(self.left_since));
        (self.settled != self.seen).then_some(rested.min(at_last))
    }

    /// An attempt for the first `commits` is over.
    pub(super) fn tried(&mut self, commits: u64, done: bool, now: Instant) {
        if done {
            self.settled = commits;
            self.pause = IDLE;
        } else {
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        self.quiet_since = now;
        self.left_since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many seconds it is tried to copy everything while there are ten commits a second,
    /// for ten minutes at most.
    fn tried_at(attempts: &[bool]) -> Vec<u64> {
        let start = Instant::now();
        let mut rest = Rest::new(0);
        let mut tried = Vec::new();
        for commits in 1..6000 {
            let now = start + Duration::from_millis(100) * u32::try_from(commits).unwrap();
            rest.saw(commits, now);
            if rest.wait(now) == Some(Duration::ZERO) {
                let Some(done) = attempts.get(tried.len()) else {
                    break;
                };
                tried.push(now.duration_since(start).as_secs());
                rest.tried(commits, *done, now);
            }
        }
        tried
    }

    #[test]
    fn a_trickle_of_commits_does_not_put_it_off_for_ever() {
        assert_eq!(tried_at(&[true, true]), [60, 120]);
        assert_eq!(tried_at(&[false, false, true, true]), [60, 120, 180, 240]);
    }

    #[test]
    fn a_second_of_rest_is_enough_and_failures_are_repeated_after_longer_and_longer() {
        let mut rest = Rest::new(0);
        let mut now = Instant::now();
        rest.saw(1, now);
        let mut waits = Vec::new();
        for _ in 0..9 {
            let wait = rest.wait(now).unwrap();
            waits.push(wait.as_secs());
            now += wait;
            rest.tried(1, false, now);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        rest.tried(1, true, now);
        assert_eq!(rest.wait(now), None);
    }
}
