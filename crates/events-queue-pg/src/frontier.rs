//! Where the next claim begins to read.
//!
//! A claim reads the index of its queue in the order of delivery and would pass every event that
//! is leased, and every index entry of an event that is gone and not vacuumed yet. So this process
//! remembers for each priority how far claims have come, and they begin behind that. What is or
//! becomes claimable before it is known from verdicts and wake-ups, or found by a turn: events
//! that came back, and those of transactions that took their ids early and committed late.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use crate::horizon::{Horizon, Snapshot};
use crate::turn::{BRISK, FIRST_WIDTH, NARROWEST, Pass};

/// An event's place in its queue: priority as it is stored, and id.
pub(crate) type Place = (i32, i64);

/// More events that came back are not remembered; the next turn finds them again.
const MOST_BACK: usize = 4096;
/// After a turn the next one has to wait, even if something seems to be due.
const BREATH: Duration = Duration::from_millis(5);

/// The frontiers of the queues that this process consumes.
#[derive(Debug)]
pub(crate) struct Frontiers {
    poll_interval: Duration,
    queues: Mutex<HashMap<i64, Arc<Frontier>>>,
}

impl Frontiers {
    pub(crate) fn new(poll_interval: Duration) -> Self {
        Self {
            poll_interval,
            queues: Mutex::default(),
        }
    }

    /// The frontier of a queue; made for its first claim.
    pub(crate) fn of(&self, queue_id: i64) -> Arc<Frontier> {
        let mut queues = self.queues.lock();
        let frontier = queues.entry(queue_id).or_insert_with(|| {
            Arc::new(Frontier {
                // A little less, so that a consumer which polls is never a moment too early.
                interval: self.poll_interval * 3 / 4,
                turning: AtomicBool::new(false),
                state: Mutex::default(),
            })
        });
        Arc::clone(frontier)
    }

    /// The next claim of each queue looks everywhere.
    pub(crate) fn stir_all(&self) {
        for frontier in self.queues.lock().values() {
            frontier.lock().stir();
        }
    }

    /// The frontier of a queue that was claimed from before.
    pub(crate) fn known(&self, queue_id: i64) -> Option<Arc<Frontier>> {
        self.queues.lock().get(&queue_id).cloned()
    }
}

/// What is known of one queue.
#[derive(Debug)]
pub(crate) struct Frontier {
    interval: Duration,
    turning: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) levels: BTreeMap<i32, Level>,
    /// How many ids of a cold priority a claim reads.
    window: i64,
    /// Before the frontier and claimable.
    back: BTreeSet<Place>,
    /// Before the frontier and to be claimed alone.
    suspects: BTreeSet<Place>,
    pub(crate) horizon: Horizon,
    /// Raised when a frontier is moved back, so that a claim under way does not undo it.
    rewinds: u64,
    pub(crate) paused: bool,
    /// The last claim found less than it wanted.
    drained: bool,
    due: Option<Instant>,
    turned: Option<Instant>,
    pub(crate) pass: Pass,
}

impl Default for State {
    fn default() -> Self {
        Self {
            levels: BTreeMap::new(),
            window: FIRST_WIDTH,
            back: BTreeSet::new(),
            suspects: BTreeSet::new(),
            horizon: Horizon::default(),
            rewinds: 0,
            paused: false,
            drained: false,
            due: None,
            turned: None,
            pass: Pass::default(),
        }
    }
}

/// One priority of a queue.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Level {
    /// Claims begin behind this id.
    pub(crate) after: i64,
    /// No event is left up to this id, nor will be.
    pub(crate) floor: i64,
    /// Up to this id there may be much that others hold, as after a restart: claims read it in
    /// windows, so that none of them takes long.
    cold: i64,
}

/// What a claim is to read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) lowest: Vec<i32>,
    pub(crate) after: Vec<i64>,
    pub(crate) highest: Vec<i32>,
    pub(crate) upto: Vec<i64>,
    back: Vec<Place>,
    /// Nothing stands behind what it reads.
    whole: bool,
    /// It ends with a window of a priority, at this id.
    window: Option<Place>,
    rewinds: u64,
}

impl Plan {
    fn push(&mut self, lowest: i32, after: i64, highest: i32, upto: i64) {
        if lowest <= highest && after < upto {
            self.lowest.push(lowest);
            self.after.push(after);
            self.highest.push(highest);
            self.upto.push(upto);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lowest.is_empty()
    }

    /// Whether more is to be read behind it.
    pub(crate) fn goes_on(&self) -> bool {
        self.window.is_some()
    }
}

impl Frontier {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The right to do a turn, unless another task has it or none is needed yet.
    pub(crate) fn begin_turn(&self) -> Option<Turning<'_>> {
        if !self.lock().wants_turn(self.interval) || self.turning.swap(true, Ordering::Acquire) {
            return None;
        }
        Some(Turning(&self.turning))
    }
}

/// Held by whoever does a turn.
pub(crate) struct Turning<'a>(&'a AtomicBool);

impl Drop for Turning<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl State {
    fn wants_turn(&self, interval: Duration) -> bool {
        let now = Instant::now();
        self.turned
            .is_none_or(|at| now.duration_since(at) >= interval)
            || self.due.is_some_and(|due| due <= now)
    }

    /// A turn was done; that is when the next thing becomes claimable by itself.
    pub(crate) fn turned(&mut self, due: Option<Duration>) {
        let now = Instant::now();
        self.turned = Some(now);
        self.due = due.and_then(|time| now.checked_add(time.max(BREATH)));
    }

    /// Something becomes claimable by itself after this time.
    pub(crate) fn due_in(&mut self, time: Duration) {
        let Some(at) = Instant::now().checked_add(time) else {
            return;
        };
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// How long until something becomes claimable by itself.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.due
            .map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Somebody else changed something: the next claim looks everywhere.
    pub(crate) fn stir(&mut self) {
        self.turned = None;
    }

    /// An event before the frontier is claimable.
    pub(crate) fn came_back(&mut self, place: Place) {
        let passed = self
            .levels
            .get(&place.0)
            .is_some_and(|level| place.1 <= level.after);
        if passed && self.back.len() < MOST_BACK {
            self.back.insert(place);
        }
    }

    /// An event before the frontier is to be claimed alone.
    pub(crate) fn is_suspect(&mut self, place: Place) {
        if self.suspects.len() < MOST_BACK {
            self.suspects.insert(place);
        }
    }

    /// The first event that is to be claimed alone.
    pub(crate) fn suspect(&self) -> Option<Place> {
        self.suspects.first().copied()
    }

    /// It was claimed, or is not claimable any more.
    pub(crate) fn forget_suspect(&mut self, place: &Place) {
        self.suspects.remove(place);
    }

    /// Events from this id on may be claimable, of one priority or of any.
    pub(crate) fn rewind(&mut self, rank: Option<i32>, id: i64) {
        let levels = self.levels.iter_mut();
        for (_, level) in levels.filter(|(known, _)| rank.is_none_or(|rank| rank == **known)) {
            if level.after >= id {
                level.after = id.saturating_sub(1);
                self.rewinds += 1;
            }
        }
    }

    /// What a claim of `limit` events is to read, in the order of delivery. It ends before the
    /// first event that is to be claimed alone.
    pub(crate) fn plan(&self, limit: usize) -> Plan {
        let mut plan = Plan {
            rewinds: self.rewinds,
            whole: self.suspects.is_empty(),
            ..Plan::default()
        };
        let end = self.suspect().unwrap_or((i32::MAX, i64::MAX));
        // Priorities that no claim has met yet lie between those that are known.
        let mut next = self.levels.keys().copied().chain([i32::MAX]);
        let first = next.next().unwrap_or(i32::MAX);
        if self.levels.is_empty() {
            plan.push(i32::MIN, 0, end.0, end.1);
            return plan;
        }
        plan.push(i32::MIN, 0, first.saturating_sub(1), i64::MAX);
        for ((rank, level), next) in self.levels.iter().zip(next) {
            if *rank > end.0 {
                break;
            }
            let back = self.back.range((*rank, i64::MIN)..=(*rank, level.after));
            let room = limit.saturating_sub(plan.back.len());
            for place in back.take_while(|place| **place < end).take(room) {
                plan.push(place.0, place.1 - 1, place.0, place.1);
                plan.back.push(*place);
            }
            if *rank == end.0 {
                plan.push(*rank, level.after, *rank, end.1.saturating_sub(1));
            } else if level.after < level.cold {
                // Less urgent events have to wait until it is known that there are none here.
                let upto = level.after.saturating_add(self.window).min(level.cold);
                plan.push(*rank, level.after, *rank, upto);
                plan.window = Some((*rank, upto));
                plan.whole = false;
                break;
            } else {
                let highest = if next == i32::MAX { next } else { next - 1 };
                plan.push(*rank, level.after, highest.min(end.0), i64::MAX);
            }
        }
        plan
    }

    /// Takes in what a claim brought.
    pub(crate) fn claimed(&mut self, plan: &Plan, limit: usize, places: &[Place], seen: Snapshot) {
        let settled = self.horizon.note(seen);
        // A claim that got all it wanted did not read behind the last of it.
        let last = places.iter().max().filter(|_| places.len() >= limit);
        for place in &plan.back {
            if last.is_none_or(|last| place <= last) {
                self.back.remove(place);
            }
        }
        let moved_back = self.rewinds != plan.rewinds;
        for (rank, id) in places {
            match self.levels.get_mut(rank) {
                Some(level) if !moved_back => level.after = level.after.max(*id),
                Some(_) => {}
                None => {
                    let after = if moved_back { id - 1 } else { *id };
                    let level = Level {
                        after,
                        ..Level::default()
                    };
                    self.levels.insert(*rank, level);
                    // What stands before it was not looked at yet.
                    self.stir();
                }
            }
        }
        if let Some((rank, upto)) = plan.window
            && places.len() < limit
            && !moved_back
            && let Some(level) = self.levels.get_mut(&rank)
        {
            level.after = level.after.max(upto);
        }
        self.drained = places.len() < limit && plan.whole;
        // It read to the end, so up to there nothing is left but what a turn finds.
        if self.drained && !moved_back {
            for level in self.levels.values_mut() {
                level.after = level.after.max(settled);
            }
        }
    }

    /// There are events of a priority that no claim has met: its first one, and the last id that
    /// was given out.
    pub(crate) fn add_level(&mut self, (rank, first): Place, last_id: i64) {
        self.levels.entry(rank).or_insert(Level {
            after: first - 1,
            floor: 0,
            cold: last_id,
        });
    }

    /// A window took so long to read.
    pub(crate) fn window_took(&mut self, time: Duration) {
        if time < BRISK {
            self.window = self.window.saturating_mul(2);
        } else if time > BRISK * 4 {
            self.window = (self.window / 2).max(NARROWEST);
        }
    }

    /// The ranges between known priorities, lowest and highest of each.
    pub(crate) fn gaps(&self) -> (Vec<i32>, Vec<i32>) {
        let (mut lowest, mut highest) = (vec![i32::MIN], Vec::new());
        for rank in self.levels.keys() {
            highest.push(rank.saturating_sub(1));
            lowest.push(rank.saturating_add(1));
        }
        highest.push(i32::MAX);
        (lowest, highest)
    }

    /// How far there is something to look at behind the floor. Unless claims left something to be
    /// claimed, that is up to the newest id: what is there is held by others.
    pub(crate) fn walk_end(&self, level: &Level) -> i64 {
        if self.drained {
            level.after.max(self.horizon.last_id())
        } else {
            level.after
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: i64 = i64::MAX;

    fn snapshot(last_id: i64) -> Snapshot {
        Snapshot {
            oldest_running: 1,
            next: 1,
            last_id,
        }
    }

    fn pieces(state: &State, limit: usize) -> Vec<(i32, i64, i32, i64)> {
        let plan = state.plan(limit);
        (0..plan.lowest.len())
            .map(|at| {
                (
                    plan.lowest[at],
                    plan.after[at],
                    plan.highest[at],
                    plan.upto[at],
                )
            })
            .collect()
    }

    fn claim(state: &mut State, limit: usize, places: &[Place]) {
        let plan = state.plan(limit);
        state.claimed(&plan, limit, places, snapshot(1000));
    }

    #[test]
    fn a_new_queue_is_read_from_its_begin() {
        assert_eq!(
            pieces(&State::default(), 10),
            [(i32::MIN, 0, i32::MAX, END)]
        );
    }

    #[test]
    fn each_priority_goes_on_behind_what_was_claimed_and_unknown_ones_are_read_too() {
        let mut state = State::default();
        claim(&mut state, 2, &[(-5, 7), (0, 3)]);
        assert_eq!(
            pieces(&state, 10),
            [
                (i32::MIN, 0, -6, END),
                (-5, 7, -1, END),
                (0, 3, i32::MAX, END)
            ]
        );
    }

    #[test]
    fn what_came_back_is_read_before_what_is_new() {
        let mut state = State::default();
        claim(&mut state, 2, &[(0, 10), (0, 20)]);
        state.came_back((0, 15));
        state.came_back((0, 12));
        let expected = [
            (i32::MIN, 0, -1, END),
            (0, 11, 0, 12),
            (0, 14, 0, 15),
            (0, 20, i32::MAX, END),
        ];
        assert_eq!(pieces(&state, 10), expected);
        assert_eq!(pieces(&state, 1).len(), 3, "no more than are wanted");
        claim(&mut state, 10, &[(0, 12)]);
        assert_eq!(
            pieces(&state, 10).len(),
            2,
            "15 was read and is not claimable any more"
        );
    }

    #[test]
    fn what_came_back_and_was_not_reached_is_read_by_the_next_claim() {
        let mut state = State::default();
        claim(&mut state, 2, &[(-5, 10), (0, 20)]);
        state.came_back((0, 15));
        claim(&mut state, 1, &[(-5, 11)]);
        assert!(pieces(&state, 10).contains(&(0, 14, 0, 15)));
    }

    #[test]
    fn reading_ends_before_an_event_that_is_claimed_alone() {
        let mut state = State::default();
        claim(&mut state, 2, &[(-5, 30), (0, 20)]);
        state.came_back((0, 9));
        state.is_suspect((0, 10));
        state.came_back((0, 11));
        assert_eq!(
            pieces(&state, 10),
            [(i32::MIN, 0, -6, END), (-5, 30, -1, END), (0, 8, 0, 9)]
        );
        state.forget_suspect(&(0, 10));
        assert_eq!(pieces(&state, 10).len(), 5);
    }

    #[test]
    fn moving_back_is_not_undone_by_a_claim_under_way() {
        let mut state = State::default();
        claim(&mut state, 1, &[(0, 100)]);
        let plan = state.plan(10);
        state.rewind(Some(0), 50);
        state.claimed(&plan, 10, &[(0, 120)], snapshot(1000));
        assert_eq!(pieces(&state, 10)[1], (0, 49, i32::MAX, END));
    }

    #[test]
    fn an_idle_frontier_follows_what_is_settled() {
        let mut state = State::default();
        claim(&mut state, 1, &[(0, 5)]);
        for _ in 0..3 {
            claim(&mut state, 10, &[]);
        }
        assert_eq!(pieces(&state, 10)[1], (0, 1000, i32::MAX, END));
    }

    #[test]
    fn what_was_there_before_is_read_in_windows_and_the_less_urgent_waits() {
        let mut state = State::default();
        state.add_level((0, 101), 25_000);
        state.add_level((5, 7), 25_000);
        assert_eq!(
            pieces(&state, 10),
            [(i32::MIN, 0, -1, END), (0, 100, 0, 10_100)]
        );
        claim(&mut state, 10, &[(0, 102)]);
        assert_eq!(pieces(&state, 10)[1], (0, 10_100, 0, 20_100));
        let full: Vec<Place> = (0..10).map(|n| (0, 10_200 + n)).collect();
        claim(&mut state, 10, &full);
        assert_eq!(
            pieces(&state, 10)[1],
            (0, 10_209, 0, 20_209),
            "it was not read to its end"
        );
        claim(&mut state, 10, &[]);
        assert_eq!(pieces(&state, 10)[1], (0, 20_209, 0, 25_000));
        claim(&mut state, 10, &[]);
        assert_eq!(
            pieces(&state, 10)[1..],
            [(0, 25_000, 4, END), (5, 6, 5, 10_006)],
            "now it is known"
        );
    }
}
