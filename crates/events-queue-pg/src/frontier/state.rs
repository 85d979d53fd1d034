//! What is known of one queue, and what claims, verdicts, wake-ups and turns change of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::told::Told;
use super::{Place, Plan};
use crate::horizon::{Horizon, Snapshot};
use crate::walk::{BRISK, FIRST_WIDTH, NARROWEST, Pass};

/// More events that came back are not remembered; the next turn finds them again.
const MOST_BACK: usize = 4096;
/// Above so many priorities those that are empty are forgotten.
const MOST_LEVELS: usize = 100;
/// After a turn the next one has to wait, even if something seems to be due.
const BREATH: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) levels: BTreeMap<i32, Level>,
    /// How many ids of a cold priority a claim reads.
    pub(super) window: i64,
    /// Before the frontier and claimable.
    pub(super) back: BTreeSet<Place>,
    /// Before the frontier and to be claimed alone.
    pub(super) suspects: BTreeSet<Place>,
    pub(crate) horizon: Horizon,
    /// Raised when a frontier is moved back, so that a claim under way does not undo it.
    pub(super) rewinds: u64,
    /// What was told last of events behind the frontier, of which a claim under way may pass one.
    pub(super) told: Told,
    /// Ids may have been given out again, and no claim has told yet up to which.
    doubtful: bool,
    pub(crate) paused: bool,
    /// The last claim found less than it wanted.
    drained: bool,
    due: Option<Instant>,
    /// The part of it that was noted since the turn under way began, which may not have seen it.
    noted: Option<Instant>,
    turned: Option<Instant>,
    /// Raised when the next claim is to look everywhere, so that a turn under way does not hide it.
    stirs: u64,
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
            told: Told::default(),
            doubtful: false,
            paused: false,
            drained: false,
            due: None,
            noted: None,
            turned: None,
            stirs: 0,
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
    pub(super) cold: i64,
    /// The last walk found nothing, and no claim has since.
    pub(crate) empty: bool,
}

impl State {
    pub(super) fn wants_turn(&self, interval: Duration) -> bool {
        let now = Instant::now();
        self.turned
            .is_none_or(|at| now.duration_since(at) >= interval)
            || self.due.is_some_and(|due| due <= now)
    }

    /// A turn begins.
    pub(super) fn turning(&mut self) {
        self.noted = None;
    }

    /// A turn was done; that is when the next thing becomes claimable by itself. Answers whether
    /// consumers that wait would look for it too late.
    pub(crate) fn turned(&mut self, due: Option<Duration>) -> bool {
        let now = Instant::now();
        let due = due.and_then(|time| now.checked_add(time.max(BREATH)));
        let before = self.due;
        self.turned = Some(now);
        self.due = due.into_iter().chain(self.noted.take()).min();
        if self.levels.len() > MOST_LEVELS {
            self.levels.retain(|_, level| !level.empty);
            self.back.retain(|place| self.levels.contains_key(&place.0));
        }
        // What was seen before is told anew with small differences.
        let sooner = |due| before.is_none_or(|before| due + BREATH < before);
        self.due.is_some_and(sooner)
    }

    /// How often somebody has said that there is something to look for.
    pub(crate) fn stirs(&self) -> u64 {
        self.stirs
    }

    /// Somebody has said so since the turn of the last walk began, which may have missed it.
    pub(crate) fn is_stirred(&self) -> bool {
        self.pass.stirs != self.stirs
    }

    /// Something becomes claimable by itself after this time.
    pub(crate) fn due_in(&mut self, time: Duration) {
        let Some(at) = Instant::now().checked_add(time) else {
            return;
        };
        for due in [&mut self.due, &mut self.noted] {
            *due = Some(due.map_or(at, |due| due.min(at)));
        }
    }

    /// How long until something becomes claimable by itself.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.due
            .map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Somebody else changed something: the next claim looks everywhere. A walk under way goes on
    /// at its own pace first.
    pub(crate) fn stir(&mut self) {
        self.stirs += 1;
        if self.pass.is_over() {
            self.turned = None;
        }
    }

    /// The server may have crashed, and undone what it had not flushed: verdicts, claims, and the
    /// use of ids.
    pub(super) fn doubt(&mut self) {
        self.horizon.doubt();
        self.pass = Pass::default();
        for level in self.levels.values_mut() {
            level.floor = 0;
            level.empty = false;
        }
        self.rewinds += 1;
        self.doubtful = true;
        self.stir();
    }

    /// Ids above this one will be given out again, if they ever were.
    fn begin_again(&mut self, last_id: i64) {
        self.rewinds += 1;
        for level in self.levels.values_mut() {
            level.after = level.after.min(last_id);
            level.cold = level.cold.min(last_id);
        }
    }

    /// An event before the frontier is claimable.
    pub(crate) fn came_back(&mut self, place: Place) {
        if let Some(level) = self.levels.get_mut(&place.0)
            && place.1 <= level.after
            && self.back.len() < MOST_BACK
        {
            level.empty = false;
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
        self.told.note(rank, id);
        let levels = self.levels.iter_mut();
        for (_, level) in levels.filter(|(known, _)| rank.is_none_or(|rank| rank == **known)) {
            if level.after >= id {
                level.after = id.saturating_sub(1);
                self.rewinds += 1;
            }
        }
    }

    /// Takes in what a claim brought, unless it was asked before a doubt: it may be undone.
    pub(crate) fn claimed(&mut self, plan: &Plan, limit: usize, places: &[Place], seen: Snapshot) {
        let Some(settled) = self.horizon.note(plan.known, seen) else {
            return;
        };
        if std::mem::take(&mut self.doubtful) {
            self.begin_again(seen.last_id);
        }
        // A claim that got all it wanted did not read behind the last of it.
        let last = places.iter().max().filter(|_| places.len() >= limit);
        for place in &plan.back {
            if last.is_none_or(|last| place <= last) {
                self.back.remove(place);
            }
        }
        let unseen = self.told.since(plan.told, places);
        let moved_back = self.rewinds != plan.rewinds;
        for (rank, id) in places {
            match self.levels.get_mut(rank) {
                Some(level) => {
                    level.empty = false;
                    if !moved_back {
                        level.after = level.after.max(unseen.bound(*rank).min(*id));
                    }
                }
                None => {
                    let after = if moved_back { id - 1 } else { *id };
                    let after = unseen.bound(*rank).min(after);
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
            level.after = level.after.max(unseen.bound(rank).min(upto));
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
            cold: last_id,
            ..Level::default()
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
