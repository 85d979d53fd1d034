//! Up to which id it is settled which rows there are.
//!
//! Ids are taken from a sequence before their transaction commits, so a row may appear below ids
//! that are visible already. It cannot any more once every transaction has ended that was running
//! when the sequence had reached that id: the snapshots of later statements tell. Which ones were
//! running then no snapshot tells, because it knows the highest one that has ended, not the highest
//! one that has begun; so one statement after it takes a number of its own. Whoever publishes takes
//! its number before its ids.

/// What one statement saw of the server's transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Every transaction below this has ended.
    pub(crate) oldest_running: i64,
    /// The number of the statement's own transaction, if it was to take one.
    pub(crate) own: Option<i64>,
    /// The last id that the sequence had given out; read after the snapshot was taken.
    pub(crate) last_id: i64,
}

/// What was known when a statement was asked. Answers come in another order than snapshots are
/// taken in, so this tells what a snapshot is certain to be later than.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Known {
    answers: u64,
    settled: i64,
    /// The statement is to take a number for its transaction.
    pub(crate) numbered: bool,
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
    /// A transaction that began when it had been given out.
    later: Option<i64>,
}

impl Horizon {
    /// What a statement that is asked now can rely on.
    pub(crate) fn known(&self) -> Known {
        Known {
            answers: self.answers,
            settled: self.settled,
            numbered: self
                .waiting
                .as_ref()
                .is_some_and(|waiting| waiting.later.is_none()),
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
            // Asked after the id was read: whoever got that id has a lower number.
            Some(waiting) if waiting.later.is_none() && known.answers >= waiting.answer => {
                waiting.later = seen.own;
            }
            Some(waiting) if waiting.later.is_some_and(|own| seen.oldest_running >= own) => {
                settled = settled.max(waiting.id);
                self.settled = self.settled.max(waiting.id);
                self.waiting = None;
            }
            _ => {}
        }
        if self.waiting.is_none() && seen.last_id > self.settled {
            self.waiting = Some(Waiting {
                id: seen.last_id,
                answer: self.answers,
                later: None,
            });
        }
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

    fn seen(oldest_running: i64, last_id: i64) -> Snapshot {
        Snapshot {
            oldest_running,
            own: None,
            last_id,
        }
    }

    /// A statement that is asked when the one before it was answered; its number, if it takes one.
    fn note(horizon: &mut Horizon, oldest_running: i64, number: i64, last_id: i64) -> i64 {
        let known = horizon.known();
        let seen = Snapshot {
            own: known.numbered.then_some(number),
            ..seen(oldest_running, last_id)
        };
        horizon.note(known, seen).unwrap()
    }

    #[test]
    fn an_id_is_settled_once_those_who_may_hold_lower_ones_have_ended() {
        let mut horizon = Horizon::default();
        assert_eq!(note(&mut horizon, 10, 12, 100), 0);
        // Whoever has an id up to 100 has a number below 15.
        assert_eq!(note(&mut horizon, 10, 15, 120), 0);
        assert_eq!(note(&mut horizon, 14, 0, 150), 0, "14 may still hold one");
        assert_eq!(note(&mut horizon, 15, 0, 150), 100);
        assert_eq!(note(&mut horizon, 16, 20, 150), 100);
        assert_eq!(note(&mut horizon, 20, 0, 151), 150);
    }

    #[test]
    fn one_long_transaction_holds_it_back_and_nothing_else_happens() {
        let mut horizon = Horizon::default();
        for number in 11..100 {
            assert_eq!(note(&mut horizon, 10, number, number * 10), 0);
        }
        assert_eq!(note(&mut horizon, 100, 100, 1000), 110);
    }

    #[test]
    fn while_no_ids_are_given_out_no_statement_takes_a_number() {
        let mut horizon = Horizon::default();
        assert!(!horizon.known().numbered);
        note(&mut horizon, 10, 0, 100);
        assert!(horizon.known().numbered);
        note(&mut horizon, 10, 10, 100);
        assert!(!horizon.known().numbered);
        for _ in 0..3 {
            assert_eq!(note(&mut horizon, 11, 0, 100), 100);
            assert!(!horizon.known().numbered);
        }
        note(&mut horizon, 11, 0, 101);
        assert!(horizon.known().numbered);
    }

    /// 12 takes an id below 100 after the first statement took its number, whose answer comes last.
    #[test]
    fn a_number_from_before_an_id_was_read_says_nothing_of_who_has_it() {
        let mut horizon = Horizon::default();
        note(&mut horizon, 9, 0, 50);
        let (first, second) = (horizon.known(), horizon.known());
        let own = |number, seen| Snapshot {
            own: Some(number),
            ..seen
        };
        assert_eq!(horizon.note(second, own(13, seen(10, 100))), Some(0));
        assert_eq!(horizon.note(second, own(15, seen(14, 100))), Some(50));
        assert_eq!(horizon.note(first, own(11, seen(10, 50))), Some(0));
        assert_eq!(note(&mut horizon, 12, 16, 100), 50, "12 is still running");
        assert_eq!(note(&mut horizon, 15, 0, 100), 50);
        assert_eq!(note(&mut horizon, 16, 0, 100), 100);
    }

    /// What another statement has settled meanwhile may be rows that this one did not see.
    #[test]
    fn a_statement_relies_on_what_was_settled_before_it_and_on_its_own_snapshot() {
        let mut horizon = Horizon::default();
        note(&mut horizon, 10, 0, 100);
        note(&mut horizon, 10, 12, 100);
        let (slow, fast) = (horizon.known(), horizon.known());
        assert_eq!(horizon.note(fast, seen(12, 100)), Some(100));
        assert_eq!(horizon.note(slow, seen(11, 100)), Some(0));
        assert_eq!(note(&mut horizon, 12, 0, 100), 100);
    }

    #[test]
    fn after_a_doubt_only_what_is_asked_then_counts() {
        let mut horizon = Horizon::default();
        note(&mut horizon, 10, 0, 100);
        note(&mut horizon, 10, 12, 100);
        let before = horizon.known();
        horizon.doubt();
        assert_eq!(horizon.note(before, seen(12, 100)), None);
        assert_eq!((horizon.last_id(), horizon.settled()), (0, 0));
        assert_eq!(note(&mut horizon, 5, 0, 40), 0);
        assert_eq!(note(&mut horizon, 6, 6, 40), 0);
        assert_eq!(note(&mut horizon, 7, 0, 40), 40);
    }

    /// A server: transactions take a number, then ids, and end, all at random.
    struct Server {
        next: i64,
        highest_ended: i64,
        last_id: i64,
        /// Each with the lowest id that it took.
        running: Vec<(i64, Option<i64>)>,
    }

    impl Server {
        fn number(&mut self) -> i64 {
            self.next += 1;
            self.next - 1
        }

        /// As PostgreSQL makes snapshots: a transaction above the highest that has ended is not
        /// among those that run.
        fn snapshot(&mut self, numbered: bool) -> Snapshot {
            let limit = self.highest_ended + 1;
            let running = self.running.iter().map(|(number, _)| *number);
            let oldest = running.filter(|number| *number < limit).min();
            let seen = seen(oldest.unwrap_or(limit), self.last_id);
            let own = numbered.then(|| self.number());
            self.highest_ended = self.highest_ended.max(own.unwrap_or(0));
            Snapshot { own, ..seen }
        }
    }

    /// Claims whose answers come in any order.
    #[test]
    fn no_row_appears_at_or_below_a_settled_id_whatever_the_order_of_answers() {
        let mut settled_at_all = 0;
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut horizon = Horizon::default();
            let mut server = Server {
                next: 10,
                highest_ended: 9,
                last_id: 0,
                running: Vec::new(),
            };
            // Claims that were asked, and those of them that the server has run.
            let mut asked: Vec<Known> = Vec::new();
            let mut under_way: Vec<(Known, Snapshot)> = Vec::new();
            for _ in 0..400 {
                let running = server.running.len();
                match random.u8(0..6) {
                    _ if asked.len() + under_way.len() < 3 => asked.push(horizon.known()),
                    0 => {
                        let number = server.number();
                        server.running.push((number, None));
                    }
                    1 if running > 0 => {
                        server.last_id += 1;
                        let (last_id, at) = (server.last_id, random.usize(0..running));
                        server.running[at].1.get_or_insert(last_id);
                    }
                    2 if running > 0 => {
                        let (ended, _) = server.running.swap_remove(random.usize(0..running));
                        server.highest_ended = server.highest_ended.max(ended);
                    }
                    3 | 4 if !asked.is_empty() => {
                        let known = asked.swap_remove(random.usize(0..asked.len()));
                        under_way.push((known, server.snapshot(known.numbered)));
                    }
                    _ if !under_way.is_empty() => {
                        let at = random.usize(0..under_way.len());
                        let (known, snapshot) = under_way.swap_remove(at);
                        horizon.note(known, snapshot).unwrap();
                        let to_come = server.running.iter().filter_map(|(_, id)| *id).min();
                        let first = to_come.unwrap_or(server.last_id + 1);
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
