//! A turn moves what is due to where it belongs, and looks at what claims have left behind.
//!
//! It runs once per poll interval and queue, and when something is known to be due, however much
//! there is to claim: so nothing that came back starves behind new events. Its look is a walk over
//! windows of ids that are as wide as can be read in a few milliseconds, and it goes on where the
//! last turn stopped, so a million leased events slow no claim.

use std::time::{Duration, Instant};

use events_core::{Op, Result};
use events_queue::{Claim, Claimed, DeadReason};

use crate::database::Database;
use crate::error::postgres;
use crate::frontier::{Frontier, State};
use crate::row::{queue, read, seconds};

/// How long the walk of one turn may take.
pub(crate) const BUDGET: Duration = Duration::from_millis(25);
/// A window that took less is widened, one that took four times as much is narrowed.
pub(crate) const BRISK: Duration = Duration::from_millis(5);
pub(crate) const NARROWEST: i64 = 1_000;
pub(crate) const FIRST_WIDTH: i64 = 10_000;
/// Now and then a walk begins at the very first id, whatever is thought to be gone.
const DEEP: Duration = Duration::from_secs(60);
/// Looks for priorities in one turn; each finds one in every range between known ones.
const LEVELS: usize = 8;
/// Rows that one statement moves.
const BATCH: i64 = 500;

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
        }
    }
}

/// Does a turn if one is due and nobody else does one.
pub(crate) async fn turn(
    db: &Database,
    frontier: &Frontier,
    claim: &Claim,
    found: &mut Claimed,
) -> Result<()> {
    let Some(_turning) = frontier.begin_turn() else {
        return Ok(());
    };
    let mut outlook = Outlook::read(db, claim.queue_id).await?;
    let mut buried = 0;
    if outlook.anything_due() {
        if outlook.is_due(outlook.delayed) {
            promote(db, frontier, claim.queue_id).await?;
        }
        if outlook.is_due(outlook.expiry) {
            buried = bury_expired(db, Some(claim.queue_id), BATCH).await?;
            found.expired += buried;
        }
        outlook = Outlook::read(db, claim.queue_id).await?;
    }
    find_levels(db, frontier, claim.queue_id).await?;
    let walked = walk(db, frontier, claim, found).await?;
    let mut state = frontier.lock();
    state.paused = outlook.paused;
    let now = Instant::now();
    let lease_end = [state.pass.lease_end, state.pass.known_end]
        .into_iter()
        .flatten()
        .map(|at| at.saturating_duration_since(now))
        .min();
    // A walk that is not over goes on after a pause, so that it takes a part of the time only.
    let go_on = (!walked).then_some(BUDGET * 4);
    let due = [
        outlook.delayed,
        outlook.next_expiry(buried),
        lease_end,
        go_on,
    ];
    state.turned(due.into_iter().flatten().min());
    Ok(())
}

/// What a queue holds beside what can be claimed.
struct Outlook {
    paused: bool,
    delayed: Option<Duration>,
    expiry: Option<Duration>,
}

impl Outlook {
    async fn read(db: &Database, queue_id: i64) -> Result<Self> {
        let rows = db
            .query(Op::Claim, &db.sql.outlook, &[&queue(queue_id)])
            .await?;
        // A queue that was unregistered has nothing to claim.
        let Some(row) = rows.first() else {
            return Ok(Self {
                paused: true,
                delayed: None,
                expiry: None,
            });
        };
        let read = || {
            Ok::<_, tokio_postgres::Error>(Self {
                paused: row.try_get(0)?,
                delayed: row.try_get::<_, Option<f64>>(1)?.map(seconds),
                expiry: row.try_get::<_, Option<f64>>(2)?.map(seconds),
            })
        };
        read().map_err(|e| postgres(Op::Claim, e))
    }

    fn is_due(&self, time: Option<Duration>) -> bool {
        !self.paused && time.is_some_and(|time| time.is_zero())
    }

    /// When to look for expired events again. One that is held stays until its lease ends, which
    /// is known by itself, so only what a full batch has left over is looked for at once.
    fn next_expiry(&self, buried: usize) -> Option<Duration> {
        let more = i64::try_from(buried).is_ok_and(|buried| buried >= BATCH);
        self.expiry.filter(|time| !time.is_zero() || more)
    }

    fn anything_due(&self) -> bool {
        self.is_due(self.delayed) || self.is_due(self.expiry)
    }
}

/// Finds priorities that claims have not met: each of their events may be held by somebody else.
async fn find_levels(db: &Database, frontier: &Frontier, queue_id: i64) -> Result<()> {
    for _ in 0..LEVELS {
        let (lowest, highest) = frontier.lock().gaps();
        let queue_id = queue(queue_id);
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&queue_id, &lowest, &highest];
        let rows = db.query(Op::Claim, &db.sql.levels, &values).await?;
        let found = read(Op::Claim, &rows, |row| {
            Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?))
        })?;
        if found.is_empty() {
            return Ok(());
        }
        let mut state = frontier.lock();
        for (first, last_id) in found {
            state.add_level(first, last_id);
        }
    }
    Ok(())
}

/// Moves delayed events whose time has come to the others.
async fn promote(db: &Database, frontier: &Frontier, queue_id: i64) -> Result<()> {
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&queue(queue_id), &db.relaxed()];
    let rows = db.query(Op::Claim, &db.sql.promote, &values).await?;
    let lowest: Option<i64> = match rows.first() {
        Some(row) => row.try_get(1).map_err(|e| postgres(Op::Claim, e))?,
        None => None,
    };
    if let Some(lowest) = lowest {
        frontier.lock().rewind(None, lowest);
    }
    Ok(())
}

/// Makes dead letters of expired events, of one queue or of all; answers how many.
pub(crate) async fn bury_expired(
    db: &Database,
    queue_id: Option<i64>,
    limit: i64,
) -> Result<usize> {
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&queue_id.map(queue), &limit, &db.keep_keys()];
    let rows = db.query(Op::CleanUp, &db.sql.bury_expired, &values).await?;
    count(&rows)
}

fn count(rows: &[tokio_postgres::Row]) -> Result<usize> {
    let counted: i64 = match rows.first() {
        Some(row) => row.try_get(0).map_err(|e| postgres(Op::Claim, e))?,
        None => 0,
    };
    Ok(usize::try_from(counted).unwrap_or_default())
}

/// Walks until everything before the frontier was seen, or the time is over; answers whether it is.
async fn walk(
    db: &Database,
    frontier: &Frontier,
    claim: &Claim,
    found: &mut Claimed,
) -> Result<bool> {
    let start = Instant::now();
    begin(&mut frontier.lock());
    loop {
        let (part, width) = {
            let mut state = frontier.lock();
            let Some(part) = state.pass.parts.last().copied() else {
                state.pass.known_end = state.pass.lease_end.take();
                return Ok(true);
            };
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
        if start.elapsed() >= BUDGET {
            let mut state = frontier.lock();
            let over = state.pass.parts.is_empty();
            if over {
                state.pass.known_end = state.pass.lease_end.take();
            }
            return Ok(over);
        }
    }
}

/// Begins a new walk unless one is under way.
fn begin(state: &mut State) {
    if !state.pass.parts.is_empty() {
        return;
    }
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
    state.pass.lease_end = None;
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
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&queue_id, &part.rank, &part.from, &upto, &most];
    let rows = db.query(Op::Claim, &db.sql.look, &values).await?;
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
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] = [
        &queue(claim.queue_id),
        &rank,
        &ids,
        &most,
        &DeadReason::MaxAttempts.as_str(),
        &"the lease ended without a verdict",
        &db.keep_keys(),
    ];
    let rows = db.query(Op::Claim, &db.sql.bury_exhausted, &values).await?;
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
    state.pass.parts.pop();
    if let Some(level) = state.levels.get_mut(&rank) {
        level.floor = floor;
    }
}
