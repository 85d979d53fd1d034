//! A turn moves what is due to where it belongs, and walks over what claims have left behind.
//!
//! It runs once per poll interval and queue, and when something is known to be due, however much
//! there is to claim: so nothing that came back starves behind new events.

use std::time::{Duration, Instant};

use events_core::{Op, Result};
use events_queue::{Claim, Claimed};

use crate::database::{Database, Values};
use crate::error::postgres;
use crate::frontier::Frontier;
use crate::row::{queue, read, seconds};
use crate::walk::{BUDGET, walk};

/// Looks for priorities in one turn; each finds one in every range between known ones.
const LEVELS: usize = 8;
/// Rows that one statement moves.
const BATCH: i64 = 500;

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
    let stirs = frontier.lock().stirs();
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
    let walked = walk(db, frontier, claim, stirs, found).await?;
    let mut state = frontier.lock();
    state.paused = outlook.paused;
    let now = Instant::now();
    let lease_end = state.pass.next_end();
    let lease_end = lease_end.map(|at| at.saturating_duration_since(now));
    let go_on = match walked {
        // After a pause, so that it takes a part of the time only.
        false => Some(BUDGET * 4),
        true => state.is_stirred().then_some(Duration::ZERO),
    };
    let due = [
        outlook.delayed,
        outlook.next_expiry(buried),
        lease_end,
        go_on,
    ];
    if state.turned(due.into_iter().flatten().min()) {
        drop(state);
        // Who did the turn may be busy with what it claims then.
        db.wakes.ring_queue(claim.queue_id, 1);
    }
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
        let values: Values<'_> = &[&queue_id, &lowest, &highest];
        let rows = db.query(Op::Claim, &db.sql.levels, values).await?;
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
    let values: Values<'_> = &[&queue(queue_id), &db.relaxed()];
    let rows = db.query(Op::Claim, &db.sql.promote, values).await?;
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
    let values: Values<'_> = &[&queue_id.map(queue), &limit, &db.keep_keys()];
    let rows = db.query(Op::CleanUp, &db.sql.bury_expired, values).await?;
    count(&rows)
}

/// The number that a statement answers.
pub(crate) fn count(rows: &[tokio_postgres::Row]) -> Result<usize> {
    let counted: i64 = match rows.first() {
        Some(row) => row.try_get(0).map_err(|e| postgres(Op::Claim, e))?,
        None => 0,
    };
    Ok(usize::try_from(counted).unwrap_or_default())
}
