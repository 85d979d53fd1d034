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

/// What was known when a statement was asked. Answers come in another order than snapshots are
/// taken in, so this tells what a snapshot is certain to be later than.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Known {
    answers: u64,
    settled: i64,
}

/// Derives settled ids from the snapshots of claims.
#[derive(Debug, Default)]
pub(crate) struct Horizon {
    settled: i64,
    waiting: Option<Waiting>,
    last_id: i64,
    /// How many snapshots were taken in, or doubted.
    answers: u64,
    /// What was asked before this many is not believed.
    believed: u64,
}

/// An id on its way to being settled.
#[derive(Debug)]
struct Waiting {
    id: i64,
    /// Which answer it came with.
    answer: u64,
    /// The first transaction that had not begun when it had been given out.
    next: Option<i64>,
}

impl Horizon {
    /// What a statement that is asked now can rely on.
    pub(crate) fn known(&self) -> Known {
        Known {
            answers: self.answers,
            settled: self.settled,
        }
    }

    /// Takes in the snapshot of a statement. Answers the highest id of which that very statement
    /// sees every row at or below it that will ever be; nothing if it was asked before a doubt.
    pub(crate) fn note(&mut self, known: Known, seen: Snapshot) -> Option<i64> {
        if known.answers < self.believed {
            return None;
        }
        self.answers += 1;
        self.last_id = self.last_id.max(seen.last_id);
        let mut settled = known.settled;
        match &mut self.waiting {
            // A snapshot from after the id was read: whoever got that id has begun.
            Some(waiting) if waiting.next.is_none() && known.answers >= waiting.answer => {
                waiting.next = Some(seen.next);
            }
            Some(waiting) if waiting.next.is_some_and(|next| seen.oldest_running >= next) => {
                settled = settled.max(waiting.id);
                self.settled = self.settled.max(waiting.id);
                self.waiting = None;
            }
            _ => {}
        }
        let answer = self.answers;
        self.waiting.get_or_insert(Waiting {
            id: seen.last_id,
            answer,
            next: None,
        });
        Some(settled)
    }

    /// The server may have crashed: ids and transactions that it gave out last may be given out
    /// again, so nothing that was seen or asked before counts.
    pub(crate) fn doubt(&mut self) {
        let answers = self.answers + 1;
        *self = Self {
            answers,
            believed: answers,
            ..Self::default()
        };
    }

    /// The newest id that was given out.
    pub(crate) fn last_id(&self) -> i64 {
        self.last_id
    }

    /// Statements that are asked from now on see every row up to this id that will ever be.
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

    /// A statement that is asked when the one before it was answered.
    fn note(horizon: &mut Horizon, seen: Snapshot) -> i64 {
        horizon.note(horizon.known(), seen).unwrap()
    }

    #[test]
    fn an_id_is_settled_once_those_who_may_hold_lower_ones_have_ended() {
        let mut horizon = Horizon::default();
        assert_eq!(note(&mut horizon, seen(10, 12, 100)), 0);
        // Whoever has an id up to 100 began before 15.
        assert_eq!(note(&mut horizon, seen(10, 15, 120)), 0);
        assert_eq!(
            note(&mut horizon, seen(14, 20, 150)),
            0,
            "14 may still hold one"
        );
        assert_eq!(note(&mut horizon, seen(15, 20, 150)), 100);
        assert_eq!(note(&mut horizon, seen(20, 20, 150)), 100);
        assert_eq!(note(&mut horizon, seen(20, 21, 151)), 150);
    }

    #[test]
    fn one_long_transaction_holds_it_back_and_nothing_else_happens() {
        let mut horizon = Horizon::default();
        for next in 10..100 {
            assert_eq!(note(&mut horizon, seen(10, next, next * 10)), 0);
        }
        assert_eq!(note(&mut horizon, seen(100, 100, 1000)), 100);
    }

    /// 12 takes an id below 100 after the first snapshot, whose answer comes last.
    #[test]
    fn a_snapshot_from_before_an_id_was_read_says_nothing_of_who_has_it() {
        let mut horizon = Horizon::default();
        let (first, second) = (horizon.known(), horizon.known());
        assert_eq!(horizon.note(second, seen(10, 13, 100)), Some(0));
        assert_eq!(horizon.note(first, seen(10, 12, 50)), Some(0));
        let third = note(&mut horizon, seen(12, 13, 100));
        assert_eq!(third, 0, "12 is still running");
        assert_eq!(note(&mut horizon, seen(13, 13, 100)), 100);
    }

    /// What another statement has settled meanwhile may be rows that this one did not see.
    #[test]
    fn a_statement_relies_on_what_was_settled_before_it_and_on_its_own_snapshot() {
        let mut horizon = Horizon::default();
        note(&mut horizon, seen(10, 12, 100));
        note(&mut horizon, seen(10, 12, 100));
        let (slow, fast) = (horizon.known(), horizon.known());
        assert_eq!(horizon.note(fast, seen(12, 12, 100)), Some(100));
        assert_eq!(horizon.note(slow, seen(11, 12, 100)), Some(0));
        assert_eq!(note(&mut horizon, seen(12, 12, 100)), 100);
    }

    #[test]
    fn after_a_doubt_only_what_is_asked_then_counts() {
        let mut horizon = Horizon::default();
        note(&mut horizon, seen(10, 12, 100));
        note(&mut horizon, seen(10, 12, 100));
        let before = horizon.known();
        horizon.doubt();
        assert_eq!(horizon.note(before, seen(12, 12, 100)), None);
        assert_eq!((horizon.last_id(), horizon.settled()), (0, 0));
        assert_eq!(note(&mut horizon, seen(5, 6, 40)), 0);
        assert_eq!(note(&mut horizon, seen(6, 6, 40)), 0);
        assert_eq!(note(&mut horizon, seen(6, 6, 40)), 40);
    }

    /// A server whose transactions take ids and commit at random, and claims whose answers come in
    /// any order.
    #[test]
    fn no_row_appears_at_or_below_a_settled_id_whatever_the_order_of_answers() {
        let mut settled_at_all = 0;
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut horizon = Horizon::default();
            let (mut next, mut last_id) = (10, 0);
            // Transactions that run, each with the lowest id that it took.
            let mut running: Vec<(i64, Option<i64>)> = Vec::new();
            // Claims that were asked, and those of them that the server has run.
            let mut asked: Vec<Known> = Vec::new();
            let mut under_way: Vec<(Known, Snapshot)> = Vec::new();
            for _ in 0..400 {
                match random.u8(0..6) {
                    _ if asked.len() + under_way.len() < 3 => asked.push(horizon.known()),
                    0 => {
                        running.push((next, None));
                        next += 1;
                    }
                    1 if !running.is_empty() => {
                        let at = random.usize(0..running.len());
                        last_id += 1;
                        running[at].1.get_or_insert(last_id);
                    }
                    2 if !running.is_empty() => {
                        running.swap_remove(random.usize(0..running.len()));
                    }
                    3 | 4 if !asked.is_empty() => {
                        let known = asked.swap_remove(random.usize(0..asked.len()));
                        let oldest = running.iter().map(|(number, _)| *number).min();
                        let snapshot = seen(oldest.unwrap_or(next), next, last_id);
                        under_way.push((known, snapshot));
                    }
                    _ if !under_way.is_empty() => {
                        let at = random.usize(0..under_way.len());
                        let (known, snapshot) = under_way.swap_remove(at);
                        horizon.note(known, snapshot).unwrap();
                        let to_come = running.iter().filter_map(|(_, id)| *id).min();
                        let first = to_come.unwrap_or(last_id + 1);
                        assert!(
                            horizon.settled() < first,
                            "seed {seed}: {first} is still to come, and {} is settled",
                            horizon.settled()
                        );
                        settled_at_all += i32::from(horizon.settled() > 0);
                    }
                    _ => {}
                }
            }
        }
        assert!(settled_at_all > 1000, "{settled_at_all}");
    }
}
