//! A walk looks at what claims have left behind: events that came back, leases that have ended.
//!
//! It reads windows of ids that are as wide as can be read in a few milliseconds. When the time of
//! a turn is over the next turn goes on with it, so a million leased events slow no claim.

use std::time::{Duration, Instant};

use events_core::{Op, Result};
use events_queue::{Claim, Claimed, DeadReason};

use crate::database::{Database, Values};
use crate::error::postgres;
use crate::frontier::{Frontier, State};
use crate::row::{queue, seconds};
use crate::turn::count;

/// How long the walk of one turn may take.
pub(crate) const BUDGET: Duration = Duration::from_millis(25);
/// A window that took less is widened, one that took four times as much is narrowed.
pub(crate) const BRISK: Duration = Duration::from_millis(5);
pub(crate) const NARROWEST: i64 = 1_000;
pub(crate) const FIRST_WIDTH: i64 = 10_000;
/// Now and then a walk begins at the very first id, whatever is thought to be gone.
const DEEP: Duration = Duration::from_secs(60);

/// A walk over everything before the frontier.
#[derive(Debug)]
pub(crate) struct Pass {
    width: i64,
    deep: Option<Instant>,
    /// What is left of it, the next part last.
    parts: Vec<Part>,
    /// When the next lease ends, of those seen so far.
    lease_end: Option<Instant>,
    /// The same of the last whole walk.
    known_end: Option<Instant>,
    /// How often somebody had said that there is something to look for, when its turn began.
    pub(crate) stirs: u64,
}

/// The ids of one priority.
#[derive(Debug, Clone, Copy)]
struct Part {
    rank: i32,
    from: i64,
    upto: i64,
    lowest: Option<i64>,
    settled: i64,
}

impl Default for Pass {
    fn default() -> Self {
        Self {
            width: FIRST_WIDTH,
            deep: None,
            parts: Vec::new(),
            lease_end: None,
            known_end: None,
            stirs: 0,
        }
    }
}

impl Pass {
    /// A turn that has heard of so much begins a new walk.
    pub(crate) fn begin(&mut self, stirs: u64) {
        self.stirs = stirs;
        self.lease_end = None;
    }

    /// Whether nothing is left of it.
    pub(crate) fn is_over(&self) -> bool {
        self.parts.is_empty()
    }

    /// When the next lease ends, as far as is known.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.lease_end.into_iter().chain(self.known_end).min()
    }
}

/// Walks until everything before the frontier was seen, or the time is over; answers whether it is.
pub(crate) async fn walk(
    db: &Database,
    frontier: &Frontier,
    claim: &Claim,
    stirs: u64,
    found: &mut Claimed,
) -> Result<bool> {
    let start = Instant::now();
    begin(&mut frontier.lock(), stirs);
    loop {
        let (part, width) = {
            let mut state = frontier.lock();
            let Some(part) = state.pass.parts.last().copied() else {
                state.pass.known_end = state.pass.lease_end.take();
                return Ok(true);
            };
            if start.elapsed() >= BUDGET {
                return Ok(false);
            }
            (part, state.pass.width)
        };
        let upto = part.from.saturating_add(width).min(part.upto);
        let asked = Instant::now();
        let seen = look(db, claim, part, upto).await?;
        let took = asked.elapsed();
        if !seen.exhausted.is_empty() {
            found.dead += bury_exhausted(db, claim, part.rank, &seen.exhausted).await?;
        }
        note(&mut frontier.lock(), part, upto, &seen, took);
    }
}

/// Begins a new walk unless one is under way.
fn begin(state: &mut State, stirs: u64) {
    if !state.pass.is_over() {
        return;
    }
    state.pass.begin(stirs);
    let deep = state.pass.deep.is_none_or(|at| at.elapsed() >= DEEP);
    if deep {
        state.pass.deep = Some(Instant::now());
    }
    let settled = state.horizon.settled();
    let parts = state.levels.iter().rev().filter_map(|(rank, level)| {
        let from = if deep { 0 } else { level.floor };
        (from < state.walk_end(level)).then_some(Part {
            rank: *rank,
            from,
            upto: state.walk_end(level),
            lowest: None,
            settled,
        })
    });
    state.pass.parts = parts.collect();
}

/// What a window holds.
struct Seen {
    lowest: Option<i64>,
    lease_end: Option<Duration>,
    back: Vec<i64>,
    suspects: Vec<i64>,
    exhausted: Vec<i64>,
}

async fn look(db: &Database, claim: &Claim, part: Part, upto: i64) -> Result<Seen> {
    let most = i32::try_from(claim.max_attempts).unwrap_or(i32::MAX);
    let queue_id = queue(claim.queue_id);
    let values: Values<'_> = &[&queue_id, &part.rank, &part.from, &upto, &most];
    let rows = db.query(Op::Claim, &db.sql.look, values).await?;
    let seen = rows.first().map(|row| {
        let ids = |at| {
            row.try_get::<_, Option<Vec<i64>>>(at)
                .map(Option::unwrap_or_default)
        };
        Ok::<_, tokio_postgres::Error>(Seen {
            lowest: row.try_get(0)?,
            lease_end: row.try_get::<_, Option<f64>>(1)?.map(seconds),
            back: ids(2)?,
            suspects: ids(3)?,
            exhausted: ids(4)?,
        })
    });
    seen.expect("an aggregate has one row")
        .map_err(|e| postgres(Op::Claim, e))
}

async fn bury_exhausted(db: &Database, claim: &Claim, rank: i32, ids: &[i64]) -> Result<usize> {
    let most = i32::try_from(claim.max_attempts).unwrap_or(i32::MAX);
    let values: Values<'_> = &[
        &queue(claim.queue_id),
        &rank,
        &ids,
        &most,
        &DeadReason::MaxAttempts.as_str(),
        &"the lease ended without a verdict",
        &db.keep_keys(),
    ];
    let rows = db.query(Op::Claim, &db.sql.bury_exhausted, values).await?;
    count(&rows)
}

/// Takes in what a window held, and goes on behind it.
fn note(state: &mut State, part: Part, upto: i64, seen: &Seen, took: Duration) {
    for id in &seen.back {
        state.came_back((part.rank, *id));
    }
    for id in &seen.suspects {
        state.is_suspect((part.rank, *id));
    }
    if let Some(end) = seen
        .lease_end
        .and_then(|time| Instant::now().checked_add(time))
    {
        let known = state.pass.lease_end;
        state.pass.lease_end = Some(known.map_or(end, |known| known.min(end)));
    }
    if took < BRISK {
        state.pass.width = state.pass.width.saturating_mul(2);
    } else if took > BRISK * 4 {
        state.pass.width = (state.pass.width / 2).max(NARROWEST);
    }
    let Some(current) = state.pass.parts.last_mut() else {
        return;
    };
    current.from = upto;
    current.lowest = current.lowest.or(seen.lowest);
    if upto < current.upto {
        return;
    }
    // Up to the first event that is left there is none, and as far as is settled there will be none.
    let empty = current.lowest.map_or(current.upto, |lowest| lowest - 1);
    let (rank, floor) = (current.rank, empty.min(current.settled));
    let is_empty = current.lowest.is_none();
    state.pass.parts.pop();
    if let Some(level) = state.levels.get_mut(&rank) {
        level.floor = floor;
        level.empty = is_empty;
    }
}
