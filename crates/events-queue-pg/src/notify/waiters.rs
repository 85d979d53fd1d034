//! Says in a table that consumers of this process wait, so that others notify them.
//!
//! A publisher looks there after its commit, so it sees whoever had said so before the consumer
//! looked at the events a last time. One that looks inside of its transaction may see nobody, and
//! commit when somebody has come: for those the events are looked at again, a few times and ever
//! more rarely, after the row was made. Whoever waits keeps the row from ageing; once nobody has
//! waited for a while it counts no more, and publishers have nobody to notify.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a row counts.
pub(crate) const LASTS: Duration = Duration::from_secs(30);
/// When the events are looked at again, counted from the moment at which the row was made.
const AGAIN: [Duration; 5] = [
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(4),
];

/// The rows of this process.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<HashMap<i64, Waiter>>);

#[derive(Debug)]
struct Waiter {
    made: Instant,
    until: Instant,
    /// How often it was looked again since.
    looked: usize,
}

/// What a consumer that found nothing has to do before it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Make the row, and look once more.
    Join,
    /// Make the row last longer.
    Stay,
    /// Nothing.
    Known,
}

impl Waiters {
    /// A consumer found nothing.
    pub(crate) fn idle(&self, queue_id: i64, now: Instant) -> Waiting {
        let rows = self.0.lock();
        let Some(row) = rows.get(&queue_id).filter(|row| now < row.until) else {
            return Waiting::Join;
        };
        if row.until.saturating_duration_since(now) < LASTS / 2 {
            return Waiting::Stay;
        }
        Waiting::Known
    }

    /// The row was made, or lasts longer, counted from this moment before that.
    pub(crate) fn made(&self, queue_id: i64, waiting: Waiting, asked: Instant) {
        let mut rows = self.0.lock();
        match rows.get_mut(&queue_id) {
            Some(row) if waiting == Waiting::Stay => row.until = asked + LASTS,
            _ => {
                let now = Instant::now();
                let row = Waiter {
                    made: now,
                    until: asked + LASTS,
                    looked: 0,
                };
                rows.insert(queue_id, row);
            }
        }
    }

    /// Whether it is time to look everywhere, in case a publisher had not seen the row.
    pub(crate) fn must_look(&self, queue_id: i64, now: Instant) -> bool {
        let mut rows = self.0.lock();
        let Some(row) = rows.get_mut(&queue_id) else {
            return false;
        };
        let passed = AGAIN
            .iter()
            .take_while(|after| row.made + **after <= now)
            .count();
        std::mem::replace(&mut row.looked, passed) < passed
    }

    /// How long until it is, or until the row must be made to last longer, if that is sooner: a
    /// consumer that sleeps past the end of its row is told of nothing.
    pub(crate) fn next_look(&self, queue_id: i64, now: Instant) -> Option<Duration> {
        let rows = self.0.lock();
        let row = rows.get(&queue_id)?;
        let fresh = row.until.saturating_duration_since(now + LASTS / 3);
        let again = AGAIN.get(row.looked);
        Some(again.map_or(fresh, |after| {
            (row.made + *after)
                .saturating_duration_since(now)
                .min(fresh)
        }))
    }

    /// The rows are gone, or worth nothing.
    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: i64 = 7;

    fn joined() -> (Waiters, Instant) {
        let (waiters, now) = (Waiters::default(), Instant::now());
        assert_eq!(waiters.idle(QUEUE, now), Waiting::Join);
        waiters.made(QUEUE, Waiting::Join, now);
        (waiters, Instant::now())
    }

    #[test]
    fn a_row_is_made_once_and_lasts_longer_while_somebody_waits() {
        let (waiters, now) = joined();
        assert_eq!(waiters.idle(QUEUE, now), Waiting::Known);
        let later = now + LASTS * 3 / 4;
        assert_eq!(waiters.idle(QUEUE, later), Waiting::Stay);
        waiters.made(QUEUE, Waiting::Stay, later);
        assert_eq!(waiters.idle(QUEUE, later), Waiting::Known);
        assert_eq!(waiters.idle(QUEUE, later + LASTS), Waiting::Join);
    }

    /// However busy the first is: the second sleeps past the end of the row that both share.
    #[test]
    fn a_second_consumer_keeps_the_row_from_ageing() {
        let (waiters, now) = joined();
        let mut at = now;
        for _ in 0..20 {
            let wait = waiters.next_look(QUEUE, at).unwrap();
            assert!(wait < LASTS, "it is back before the row ends");
            at += wait;
            let waiting = waiters.idle(QUEUE, at);
            assert_ne!(waiting, Waiting::Join, "the row still counts");
            waiters.must_look(QUEUE, at);
            if waiting == Waiting::Stay {
                waiters.made(QUEUE, waiting, at);
            }
        }
        assert!(at > now + LASTS * 3);
    }

    #[test]
    fn after_the_row_was_made_the_events_are_looked_at_again_and_then_no_more() {
        let (waiters, now) = joined();
        let mut looks = Vec::new();
        let mut at = now;
        for _ in AGAIN {
            let wait = waiters.next_look(QUEUE, at).unwrap();
            assert!(!waiters.must_look(QUEUE, at) || wait.is_zero());
            at += wait + Duration::from_micros(1);
            assert!(waiters.must_look(QUEUE, at));
            assert!(!waiters.must_look(QUEUE, at), "one consumer does it");
            looks.push(at - now);
        }
        let wait = waiters.next_look(QUEUE, at).unwrap();
        assert_eq!(waiters.idle(QUEUE, at), Waiting::Known);
        at += wait;
        assert_eq!(waiters.idle(QUEUE, at), Waiting::Stay, "while it counts");
        assert!(!waiters.must_look(QUEUE, at));
        assert!(
            looks
                .iter()
                .zip(AGAIN)
                .all(|(look, after)| look.abs_diff(after) < Duration::from_millis(5))
        );
    }
}
