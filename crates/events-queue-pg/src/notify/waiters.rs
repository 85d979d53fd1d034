//! Says in a table that consumers of this process wait, so that others notify them.
//!
//! A publisher looks there after its commit, so it sees whoever had said so before the consumer
//! looked at the events a last time. One that looks inside of its transaction may see nobody, and
//! commit when somebody has come: for those the events are looked at again, a few times and ever
//! more rarely, after the row was made. A process that is busy takes its row back, because each
//! notification costs publishers something.

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
/// Who had something to do for this long does not wait.
const BUSY: Duration = Duration::from_millis(100);

/// The rows of this process.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<HashMap<i64, Waiter>>);

#[derive(Debug)]
struct Waiter {
    made: Instant,
    until: Instant,
    /// Since when consumers found something each time they looked.
    busy: Option<Instant>,
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
        let mut rows = self.0.lock();
        let Some(row) = rows.get_mut(&queue_id).filter(|row| now < row.until) else {
            return Waiting::Join;
        };
        row.busy = None;
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
                    busy: None,
                    looked: 0,
                };
                rows.insert(queue_id, row);
            }
        }
    }

    /// A consumer found something. Whether the row is to be taken back: it counts no more.
    pub(crate) fn busy(&self, queue_id: i64, now: Instant) -> bool {
        let mut rows = self.0.lock();
        let Some(row) = rows.get_mut(&queue_id) else {
            return false;
        };
        let since = *row.busy.get_or_insert(now);
        let is_busy = now.saturating_duration_since(since) > BUSY;
        if is_busy {
            rows.remove(&queue_id);
        }
        is_busy
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

    #[test]
    fn who_is_busy_takes_it_back_and_who_has_one_event_now_and_then_does_not() {
        let (waiters, now) = joined();
        for step in 1..10 {
            let at = now + BUSY * 2 * step;
            assert!(!waiters.busy(QUEUE, at));
            assert_eq!(waiters.idle(QUEUE, at), Waiting::Known);
        }
        let at = now + BUSY * 30;
        assert!(!waiters.busy(QUEUE, at), "it begins to be");
        let at = at + BUSY * 2;
        assert!(waiters.busy(QUEUE, at));
        assert!(!waiters.busy(QUEUE, at), "it is taken back once");
        assert_eq!(waiters.idle(QUEUE, at), Waiting::Join);
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
