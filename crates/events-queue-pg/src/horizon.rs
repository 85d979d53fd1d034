//! Up to which id it is settled which rows there are.
//!
//! Ids are taken from a sequence before their transaction commits, so a row may appear below ids
//! that are visible already. It cannot any more once every transaction has ended that was running
//! when the sequence had reached that id: the snapshots of later statements tell.

/// What one statement saw of the server's transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Every transaction below this has ended.
    pub(crate) oldest_running: i64,
    /// The first transaction that had not begun.
    pub(crate) next: i64,
    /// The last id that the sequence had given out; read after the snapshot was taken.
    pub(crate) last_id: i64,
}

/// Derives settled ids from a row of snapshots.
#[derive(Debug, Default)]
pub(crate) struct Horizon {
    settled: i64,
    /// An id, and the first transaction that had not begun when it had been given out.
    waiting: Option<(i64, Option<i64>)>,
    last_id: i64,
}

impl Horizon {
    /// Takes in the snapshot of a statement. Answers the highest id of which that very statement,
    /// or a later one, sees every row at or below it that will ever be.
    pub(crate) fn note(&mut self, seen: Snapshot) -> i64 {
        self.last_id = self.last_id.max(seen.last_id);
        match self.waiting {
            None => self.waiting = Some((seen.last_id, None)),
            // The first snapshot after the id was read: whoever got that id has begun.
            Some((id, None)) => self.waiting = Some((id, Some(seen.next))),
            Some((id, Some(next))) if seen.oldest_running >= next => {
                self.settled = self.settled.max(id);
                self.waiting = Some((seen.last_id, None));
            }
            Some(_) => {}
        }
        self.settled
    }

    /// The newest id that was given out.
    pub(crate) fn last_id(&self) -> i64 {
        self.last_id
    }

    /// What [`Horizon::note`] answered last.
    pub(crate) fn settled(&self) -> i64 {
        self.settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(oldest_running: i64, next: i64, last_id: i64) -> Snapshot {
        Snapshot {
            oldest_running,
            next,
            last_id,
        }
    }

    #[test]
    fn an_id_is_settled_once_those_who_may_hold_lower_ones_have_ended() {
        let mut horizon = Horizon::default();
        assert_eq!(horizon.note(seen(10, 12, 100)), 0);
        // Whoever has an id up to 100 began before 15.
        assert_eq!(horizon.note(seen(10, 15, 120)), 0);
        assert_eq!(horizon.note(seen(14, 20, 150)), 0, "14 may still hold one");
        assert_eq!(horizon.note(seen(15, 20, 150)), 100);
        assert_eq!(horizon.note(seen(20, 20, 150)), 100);
        assert_eq!(horizon.note(seen(20, 21, 151)), 150);
    }

    #[test]
    fn one_long_transaction_holds_it_back_and_nothing_else_happens() {
        let mut horizon = Horizon::default();
        for next in 10..100 {
            assert_eq!(horizon.note(seen(10, next, next * 10)), 0);
        }
        assert_eq!(horizon.note(seen(100, 100, 1000)), 100);
    }
}
