//! Claiming: what is due is moved to where it belongs, then a batch is locked and leased.

use std::time::Duration;

use events_core::{HoldToken, Result, Timestamp};
use events_oracle_session::{Columns as _, Value};
use events_queue::{Claim, Claimed, DeadReason, LEASE_ENDED, Row};

use crate::bury::{bury, still};
use crate::database::Turn;
use crate::row::{
    DELAYED, ID_BYTES, LEASED, READY, SUSPECT, attempts, filled_up, id, json, priority, time,
};

/// The most rows of each sort that one claim moves.
const MOST_MOVED: usize = 500;
/// Above every stored priority.
const ANY_PRIORITY: i64 = 100_000;

/// The most that the columns of attempts and fences hold.
const MOST_COUNTED: i64 = 9_999_999_999;
/// Why such an event is a dead letter.
const FOREIGN: &str = "another program stored it with a count that cannot be raised";

/// What a queue holds that a claim may have to act on. Priorities are negated.
struct Outlook {
    now: Timestamp,
    next_delayed: Option<Timestamp>,
    next_lease_end: Option<Timestamp>,
    next_expiry: Option<Timestamp>,
    ready: Option<i64>,
    suspect: Option<i64>,
    paused: bool,
}

impl Outlook {
    fn of(turn: &Turn<'_>, queue_id: i64) -> Result<Self> {
        let binds = [("queue_id", Value::from(queue_id))];
        let rows = turn.query(&turn.db.sql.outlook, &binds, |row| {
            Ok(Self {
                now: time(row, 0)?,
                next_delayed: row.time(1)?,
                next_lease_end: row.time(2)?,
                next_expiry: row.time(3)?,
                ready: row.optional_integer(4)?,
                suspect: row.optional_integer(5)?,
                paused: row.integer(6)? != 0,
            })
        })?;
        Ok(rows
            .into_iter()
            .next()
            .expect("a query of dual has one row"))
    }

    fn turning_points(&self) -> impl Iterator<Item = Timestamp> {
        [self.next_delayed, self.next_lease_end, self.next_expiry]
            .into_iter()
            .flatten()
    }

    fn anything_due(&self) -> bool {
        self.turning_points().any(|at| at <= self.now)
    }

    /// How long until something becomes claimable by itself. What is due and was not moved is
    /// locked by another session, and is looked at again with the next poll.
    fn next_due(&self) -> Option<Duration> {
        self.turning_points()
            .filter_map(|at| Duration::try_from(at.duration_since(self.now)).ok())
            .filter(|left| !left.is_zero())
            .min()
    }
}

/// Takes up to `limit` events under a lease.
pub(crate) fn claim(turn: &mut Turn<'_>, claim: &Claim) -> Result<Claimed> {
    let mut found = Claimed::default();
    take(turn, claim, true, &mut found)?;
    if found.alone && found.rows.is_empty() && claim.suspects {
        // Another session has the suspect, so what stands behind it may be taken.
        take(turn, claim, false, &mut found)?;
    }
    Ok(found)
}

fn take(turn: &mut Turn<'_>, claim: &Claim, heed_suspect: bool, found: &mut Claimed) -> Result<()> {
    let mut outlook = Outlook::of(turn, claim.queue_id)?;
    if outlook.paused {
        found.next_due = None;
        return Ok(());
    }
    if outlook.anything_due() {
        move_due(turn, claim, outlook.now, found)?;
        outlook = Outlook::of(turn, claim.queue_id)?;
    }
    outlook.suspect = outlook.suspect.filter(|_| heed_suspect);
    found.alone = match (outlook.suspect, outlook.ready) {
        (Some(suspect), Some(ready)) => suspect <= ready,
        (suspect, _) => suspect.is_some(),
    };
    found.next_due = outlook.next_due();
    let (status, before, limit) = if found.alone {
        (SUSPECT, ANY_PRIORITY, usize::from(claim.suspects))
    } else if outlook.ready.is_some() {
        // Ready events that a suspect one stands before are left for a later claim.
        (READY, outlook.suspect.unwrap_or(ANY_PRIORITY), claim.limit)
    } else {
        return Ok(());
    };
    if limit > 0 {
        let dead = found.dead;
        lease(turn, claim, &outlook, (status, before, limit), found)?;
        // What was in the way is gone; what stands behind it need not wait for the next look.
        if found.rows.is_empty() && found.dead > dead {
            found.next_due = Some(Duration::ZERO);
        }
    }
    Ok(())
}

/// A row that is locked and not leased yet.
struct Locked {
    row: Row,
    /// As it is stored, before this claim.
    lease_token: i64,
    /// Another program gave it an id that is too short.
    nameless: bool,
    /// Another program gave it a count that cannot be raised.
    foreign: bool,
}

/// Locks rows as they are fetched and leases them in one round trip. An event that another program
/// wrote and that cannot be claimed becomes a dead letter, so that it holds nobody up.
fn lease(
    turn: &mut Turn<'_>,
    claim: &Claim,
    outlook: &Outlook,
    (status, before, limit): (i64, i64, usize),
    found: &mut Claimed,
) -> Result<()> {
    let db = turn.db;
    let until = outlook
        .now
        .checked_add(claim.lease)
        .unwrap_or(Timestamp::MAX);
    let binds = [
        ("queue_id", Value::from(claim.queue_id)),
        ("status", Value::from(status)),
        ("before", Value::from(before)),
        ("now", Value::from(outlook.now)),
    ];
    let locked = turn.lock(&db.sql.claim, &binds, limit, |row| {
        let (tried, lease_token) = (row.integer(3)?, row.integer(4)?);
        let token = HoldToken {
            queue_id: claim.queue_id,
            row: row.integer(0)?,
            priority: priority(row.integer(2)?),
            attempts: attempts(tried + 1),
            fence: lease_token + 1,
            keyed: row.integer(5)? != 0,
        };
        let stored = row.bytes(1)?.unwrap_or_default();
        let row = Row {
            token,
            event_id: filled_up(&stored),
            available_at: time(row, 6)?,
            created_at: time(row, 7)?,
            expires_at: row.time(8)?,
            metadata: json(row, 9)?,
            payload: json(row, 10)?.unwrap_or_default(),
            lease_expires_at: until,
        };
        Ok(Locked {
            row,
            lease_token,
            nameless: stored.len() < ID_BYTES,
            foreign: tried.max(lease_token) >= MOST_COUNTED,
        })
    })?;
    let (foreign, locked): (Vec<_>, Vec<_>) = locked.into_iter().partition(|row| row.foreign);
    found.dead += bury_foreign(turn, &foreign)?;
    let leases: Vec<_> = locked
        .iter()
        .map(|locked| {
            vec![
                ("until", Value::from(until)),
                ("id", Value::from(locked.row.token.row)),
                ("lease_token", Value::from(locked.lease_token)),
            ]
        })
        .collect();
    let leased = turn.each(&db.sql.lease, &leases)?;
    let ours = locked.into_iter().zip(leased);
    let ours: Vec<Locked> = ours
        .filter(|(_, rows)| *rows == 1)
        .map(|(locked, _)| locked)
        .collect();
    let named: Vec<_> = ours
        .iter()
        .filter(|locked| locked.nameless)
        .map(|Locked { row, .. }| {
            vec![
                ("event_id", id(&row.event_id)),
                ("id", Value::from(row.token.row)),
                ("lease_token", Value::from(row.token.fence)),
            ]
        })
        .collect();
    turn.each(&db.sql.identify, &named)?;
    found.rows = ours.into_iter().map(|locked| locked.row).collect();
    Ok(())
}

fn bury_foreign(turn: &mut Turn<'_>, foreign: &[Locked]) -> Result<usize> {
    let rows: Vec<i64> = foreign.iter().map(|locked| locked.row.token.row).collect();
    let by_id = |id: i64| vec![("id", Value::from(id))];
    let held = still(turn, &turn.db.sql.hold_foreign, rows, by_id)?;
    for row in &held {
        tracing::warn!(
            row,
            "an event that another program stored cannot be claimed, and becomes a dead letter"
        );
    }
    bury(turn, &held, DeadReason::Undecodable, Some(FOREIGN))?;
    Ok(held.len())
}

/// Moves what is due: delayed events, ended leases, expired events. A bounded number each.
fn move_due(turn: &mut Turn<'_>, claim: &Claim, now: Timestamp, found: &mut Claimed) -> Result<()> {
    let db = turn.db;
    let ended = due(turn, claim, now, LEASED)?;
    let is_last = |(_, attempts): &(i64, i64)| *attempts >= i64::from(claim.max_attempts);
    let (exhausted, tried): (Vec<_>, Vec<_>) = ended.into_iter().partition(is_last);
    let exhausted: Vec<i64> = exhausted.into_iter().map(|(id, _)| id).collect();
    let due_by = |id: i64| vec![("id", Value::from(id)), ("now", Value::from(now))];
    let exhausted = still(turn, &db.sql.hold_ended, exhausted, due_by)?;
    bury(turn, &exhausted, DeadReason::MaxAttempts, Some(LEASE_ENDED))?;
    found.dead += exhausted.len();
    let delayed = due(turn, claim, now, DELAYED)?;
    let rows = |rows: Vec<(i64, i64)>, was: i64, status: i64| {
        rows.into_iter().map(move |(id, _)| {
            vec![
                ("status", Value::from(status)),
                ("id", Value::from(id)),
                ("was", Value::from(was)),
                ("now", Value::from(now)),
            ]
        })
    };
    let moved: Vec<_> = rows(tried, LEASED, SUSPECT)
        .chain(rows(delayed, DELAYED, READY))
        .collect();
    turn.each(&db.sql.turn, &moved)?;
    // Last, so that nothing which was just made ready has expired.
    let binds = [
        ("queue_id", Value::from(claim.queue_id)),
        ("now", Value::from(now)),
    ];
    let expired = turn.lock(&db.sql.expired, &binds, MOST_MOVED, |row| row.integer(0))?;
    let by_id = |id: i64| vec![("id", Value::from(id))];
    let expired = still(turn, &db.sql.hold_expired, expired, by_id)?;
    bury(turn, &expired, DeadReason::Expired, None)?;
    found.expired += expired.len();
    Ok(())
}

/// Locks rows of this status whose time has come; answers ids and attempts.
fn due(turn: &mut Turn<'_>, claim: &Claim, now: Timestamp, status: i64) -> Result<Vec<(i64, i64)>> {
    let binds = [
        ("queue_id", Value::from(claim.queue_id)),
        ("status", Value::from(status)),
        ("now", Value::from(now)),
    ];
    let sql = &turn.db.sql.due;
    turn.lock(sql, &binds, MOST_MOVED, |row| {
        Ok((row.integer(0)?, row.integer(1)?))
    })
}
