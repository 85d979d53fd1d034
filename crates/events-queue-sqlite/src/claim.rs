//! Claiming: what is due is moved to where it belongs, then a batch is leased in one statement.

use std::cmp::Reverse;
use std::time::Duration;

use events_core::{Op, Result};
use events_queue::{Claim, Claimed, DeadReason, LEASE_ENDED};
use rusqlite::params;

use crate::bury::bury;
use crate::database::Database;
use crate::error::sqlite;
use crate::row::{claimed, collect, micros};

/// What a queue holds that a claim may have to act on.
struct Outlook {
    next_delayed: Option<i64>,
    next_lease_end: Option<i64>,
    next_expiry: Option<i64>,
    ready_priority: Option<i64>,
    suspect_priority: Option<i64>,
    paused: bool,
}

impl Outlook {
    fn of(db: &Database, queue_id: i64) -> Result<Self> {
        db.statement(&db.sql.outlook)?
            .query_row([queue_id], |row| {
                Ok(Self {
                    next_delayed: row.get(0)?,
                    next_lease_end: row.get(1)?,
                    next_expiry: row.get(2)?,
                    ready_priority: row.get(3)?,
                    suspect_priority: row.get(4)?,
                    paused: row.get::<_, Option<bool>>(5)?.unwrap_or(false),
                })
            })
            .map_err(failed)
    }

    fn anything_due(&self, now: i64, leases_end: i64) -> bool {
        let due = |at: Option<i64>, by: i64| at.is_some_and(|at| at <= by);
        due(self.next_delayed, now)
            || due(self.next_lease_end, leases_end)
            || due(self.next_expiry, now)
    }

    /// How long until something becomes claimable by itself; leases count only while the clock is
    /// trusted, else the poll interval has to do.
    fn next_due(&self, now: i64, leases_end: i64) -> Option<Duration> {
        let lease_end = self.next_lease_end.filter(|_| leases_end != i64::MIN);
        let next = self
            .next_delayed
            .into_iter()
            .chain(lease_end)
            .chain(self.next_expiry)
            .min()?;
        Some(Duration::from_micros(
            u64::try_from(next - now).unwrap_or_default(),
        ))
    }
}

/// Takes up to `limit` events under a lease.
pub(crate) fn claim(db: &mut Database, claim: &Claim) -> Result<Claimed> {
    let now = db.clock.micros();
    let leases_end = db.clock.leases_end_before(claim.lease);
    let mut outlook = Outlook::of(db, claim.queue_id)?;
    let mut found = Claimed::default();
    let due = outlook.anything_due(now, leases_end);
    let claimable = outlook
        .ready_priority
        .or(outlook.suspect_priority)
        .is_some();
    if outlook.paused || !(due || claimable) || !db.may_write() {
        found.next_due = (!outlook.paused)
            .then(|| outlook.next_due(now, leases_end))
            .flatten();
        return Ok(found);
    }
    if due {
        turn(db, claim, now, leases_end, &mut found)?;
        outlook = Outlook::of(db, claim.queue_id)?;
    }
    let until = now.saturating_add(micros(claim.lease));
    found.alone = match (outlook.suspect_priority, outlook.ready_priority) {
        (Some(suspect), Some(ready)) => suspect >= ready,
        (suspect, _) => suspect.is_some(),
    };
    found.rows = if found.alone && !claim.suspects {
        Vec::new()
    } else if found.alone {
        let mut statement = db.statement(&db.sql.claim_alone)?;
        let rows = statement.query_map([claim.queue_id, until, now], |row| {
            claimed(row, claim.queue_id, until)
        });
        collect(rows)?
    } else if outlook.ready_priority.is_some() {
        // Ready events that a suspect one stands before are left for a later claim.
        let least = outlook
            .suspect_priority
            .map_or(i64::MIN, |suspect| suspect + 1);
        let limit = i64::try_from(claim.limit).unwrap_or(i64::MAX);
        let mut statement = db.statement(&db.sql.claim)?;
        let rows = statement.query_map([claim.queue_id, until, least, limit, now], |row| {
            claimed(row, claim.queue_id, until)
        });
        collect(rows)?
    } else {
        Vec::new()
    };
    found
        .rows
        .sort_by_key(|row| (Reverse(row.token.priority), row.token.row));
    found.next_due = outlook.next_due(now, leases_end);
    Ok(found)
}

/// Moves what is due: delayed events, ended leases, expired events. A bounded number each.
fn turn(
    db: &Database,
    claim: &Claim,
    now: i64,
    leases_end: i64,
    found: &mut Claimed,
) -> Result<()> {
    let queue = claim.queue_id;
    for id in ids(
        db,
        &db.sql.exhausted,
        params![queue, leases_end, claim.max_attempts],
    )? {
        bury(db, id, DeadReason::MaxAttempts, Some(LEASE_ENDED), now)?;
        found.dead += 1;
    }
    db.statement(&db.sql.reclaim)?
        .execute(params![queue, leases_end, claim.max_attempts])
        .map_err(failed)?;
    db.statement(&db.sql.promote)?
        .execute(params![queue, now])
        .map_err(failed)?;
    // Last, so that nothing which was just made ready has expired.
    for id in ids(db, &db.sql.expired, params![queue, now])? {
        bury(db, id, DeadReason::Expired, None, now)?;
        found.expired += 1;
    }
    Ok(())
}

/// The row ids that a query answers.
pub(crate) fn ids(db: &Database, sql: &str, params: impl rusqlite::Params) -> Result<Vec<i64>> {
    let mut statement = db.statement(sql)?;
    let rows = statement.query_map(params, |row| row.get(0));
    collect(rows)
}

fn failed(error: rusqlite::Error) -> events_core::Error {
    sqlite(Op::Claim, error)
}
