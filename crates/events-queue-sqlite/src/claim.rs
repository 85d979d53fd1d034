//! Claiming: what is due is moved to where it belongs, then a batch is leased in one statement.

use std::cmp::Reverse;
use std::time::Duration;

use events_core::{ErrorKind, Op, Result};
use events_queue::{Claim, Claimed, DeadReason, LEASE_ENDED};
use rusqlite::{ToSql, params};

use crate::bury::bury;
use crate::database::Database;
use crate::error::sqlite;
use crate::row::{claimed, collect, micros};

/// What is noted of an event that cannot be claimed.
const FOREIGN: &str = "another program stored it with a count that cannot be raised";
/// Events that expired may stand before those that a claim takes.
const FORGIVEN: usize = 500;

/// What a queue holds that a claim may have to act on.
pub(crate) struct Outlook {
    next_delayed: Option<i64>,
    next_lease_end: Option<i64>,
    next_expiry: Option<i64>,
    ready_priority: Option<i64>,
    suspect_priority: Option<i64>,
    paused: bool,
}

/// The moment of a claim.
struct Times {
    now: i64,
    /// Leases that end by then have ended; the far past while the clock is not trusted.
    leases_end: i64,
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

    /// Whether a claim would find or move something.
    fn is_promising(&self, times: &Times) -> bool {
        let claimable = self.ready_priority.or(self.suspect_priority).is_some();
        !self.paused && (claimable || self.anything_due(times))
    }

    fn anything_due(&self, times: &Times) -> bool {
        let due = |at: Option<i64>, by: i64| at.is_some_and(|at| at <= by);
        due(self.next_delayed, times.now)
            || due(self.next_lease_end, times.leases_end)
            || due(self.next_expiry, times.now)
    }

    /// How long until something becomes claimable by itself; leases count only while the clock is
    /// trusted, else the poll interval has to do.
    fn next_due(&self, times: &Times) -> Option<Duration> {
        let trusted = times.leases_end != i64::MIN;
        let lease_end = self.next_lease_end.filter(|_| trusted);
        let next = self
            .next_delayed
            .into_iter()
            .chain(lease_end)
            .chain(self.next_expiry)
            .min()?;
        Some(Duration::from_micros(
            u64::try_from(next.saturating_sub(times.now)).unwrap_or_default(),
        ))
    }
}

/// Takes up to `limit` events under a lease.
///
/// Outside a transaction it only looks. What it saw is kept in `seen`, so that the transaction
/// which it asks for need not look again.
pub(crate) fn claim(
    db: &mut Database,
    claim: &Claim,
    seen: &mut Option<Outlook>,
) -> Result<Claimed> {
    let times = Times {
        now: db.clock.micros(),
        leases_end: db.clock.leases_end_before(claim.lease),
    };
    let seen_before = seen.take();
    let looked_before = seen_before.is_some();
    let outlook = match seen_before {
        Some(outlook) => outlook,
        None => Outlook::of(db, claim.queue_id)?,
    };
    if outlook.is_promising(&times) && !db.may_write() {
        *seen = Some(outlook);
        return Ok(Claimed::default());
    }
    let mut found = Claimed::default();
    take(db, claim, outlook, &times, &mut found)?;
    if looked_before && found.rows.is_empty() {
        // Another process was faster, so what was seen is not how it is.
        let outlook = Outlook::of(db, claim.queue_id)?;
        take(db, claim, outlook, &times, &mut found)?;
    }
    Ok(found)
}

/// Does what the outlook promises.
fn take(
    db: &Database,
    claim: &Claim,
    mut outlook: Outlook,
    times: &Times,
    found: &mut Claimed,
) -> Result<()> {
    if outlook.paused {
        found.next_due = None;
        return Ok(());
    }
    if outlook.anything_due(times) {
        turn(db, claim, times, found)?;
        outlook = Outlook::of(db, claim.queue_id)?;
    }
    let (now, dead) = (times.now, found.dead);
    let until = now.saturating_add(micros(claim.lease));
    found.alone = match (outlook.suspect_priority, outlook.ready_priority) {
        (Some(suspect), Some(ready)) => suspect >= ready,
        (suspect, _) => suspect.is_some(),
    };
    if found.alone && claim.suspects {
        let values = params![claim.queue_id, until, now];
        lease(db, &db.sql.claim_alone, values, claim, times, found)?;
    } else if !found.alone && outlook.ready_priority.is_some() {
        // Ready events that a suspect one stands before are left for a later claim.
        let least = outlook
            .suspect_priority
            .map_or(i64::MIN, |suspect| suspect + 1);
        let values = params![claim.queue_id, until, least, as_i64(claim.limit), now];
        lease(db, &db.sql.claim, values, claim, times, found)?;
    }
    found
        .rows
        .sort_by_key(|row| (Reverse(row.token.priority), row.token.row));
    found.next_due = outlook.next_due(times);
    // What was in the way is gone; what stands behind it need not wait for the next look.
    if found.rows.is_empty() && found.dead > dead {
        found.next_due = Some(Duration::ZERO);
    }
    Ok(())
}

/// Leases what a claim statement chooses. An event that another program wrote and that cannot be
/// claimed becomes a dead letter, so that it holds nobody up.
fn lease(
    db: &Database,
    sql: &str,
    values: &[&dyn ToSql],
    claim: &Claim,
    times: &Times,
    found: &mut Claimed,
) -> Result<()> {
    let until = times.now.saturating_add(micros(claim.lease));
    let run = || {
        let mut statement = db.statement(sql)?;
        let rows = statement.query_map(values, |row| claimed(row, claim.queue_id, until));
        rows.and_then(Iterator::collect).map_err(failed)
    };
    found.rows = match run() {
        // SQLite undid the statement: a number cannot be raised.
        Err(error) if error.kind() == ErrorKind::Backend => {
            let candidates = params![claim.queue_id, as_i64(claim.limit.saturating_add(FORGIVEN))];
            let foreign = ids(db, &db.sql.foreign, candidates)?;
            if foreign.is_empty() {
                return Err(error);
            }
            for id in foreign {
                bury_foreign(db, id, times, found)?;
            }
            run()?
        }
        rows => rows?,
    };
    Ok(())
}

fn bury_foreign(db: &Database, id: i64, times: &Times, found: &mut Claimed) -> Result<()> {
    tracing::warn!(
        row = id,
        "an event that another program stored cannot be claimed, and becomes a dead letter"
    );
    bury(db, id, DeadReason::Undecodable, Some(FOREIGN), times.now)?;
    found.dead += 1;
    Ok(())
}

fn as_i64(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Moves what is due: delayed events, ended leases, expired events. A bounded number each.
fn turn(db: &Database, claim: &Claim, times: &Times, found: &mut Claimed) -> Result<()> {
    let (queue, now, leases_end) = (claim.queue_id, times.now, times.leases_end);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use events_core::{EventId, NewEvent, TableName};
    use events_queue::{NewRow, Row};

    use super::*;
    use crate::{SqliteConfig, connect, insert, migrate, open};

    const LEASE: Duration = Duration::from_secs(30);

    fn in_transaction<T>(db: &mut Database, work: impl FnOnce(&mut Database) -> T) -> T {
        db.connection.execute_batch("BEGIN").unwrap();
        let answer = work(db);
        db.connection.execute_batch("COMMIT").unwrap();
        answer
    }

    fn ids(claimed: &Claimed) -> Vec<EventId> {
        claimed.rows.iter().map(|row: &Row| row.event_id).collect()
    }

    /// A look sees a suspect event and a ready one; before the transaction begins somebody else
    /// takes the suspect. The claim looks again and finds the ready one.
    #[test]
    fn what_another_process_took_since_the_look_is_not_waited_for() {
        let config = SqliteConfig::memory();
        let mut connection = connect(&config).unwrap();
        migrate::up(&mut connection, &TableName::default(), config.clock.now()).unwrap();
        let mut db = open::database(connection, &config, crate::bell::Watch::new).unwrap();
        let [suspect, ready] = [(); 2].map(|()| NewRow {
            id: EventId::new(),
            keyed: false,
            parts: NewEvent::new("orders", 1).into_parts(1024).unwrap(),
        });
        let (suspect_id, ready_id) = (suspect.id, ready.id);
        let request = Claim {
            queue_id: 1,
            limit: 1,
            suspects: true,
            lease: LEASE,
            max_attempts: 20,
        };
        in_transaction(&mut db, |db| insert::insert(db, &[suspect]).unwrap());
        let claimed = in_transaction(&mut db, |db| claim(db, &request, &mut None).unwrap());
        assert_eq!(ids(&claimed), [suspect_id]);
        in_transaction(&mut db, |db| insert::insert(db, &[ready]).unwrap());
        config.clock.advance(LEASE);
        let none = Claim {
            limit: 0,
            suspects: false,
            ..request.clone()
        };
        in_transaction(&mut db, |db| claim(db, &none, &mut None).unwrap());

        let mut seen = None;
        let looked = claim(&mut db, &request, &mut seen).unwrap();
        assert!(looked.rows.is_empty() && seen.is_some(), "it only looks");
        let other = in_transaction(&mut db, |db| claim(db, &request, &mut None).unwrap());
        assert_eq!((ids(&other), other.alone), (vec![suspect_id], true));
        let claimed = in_transaction(&mut db, |db| claim(db, &request, &mut seen).unwrap());
        assert_eq!((ids(&claimed), claimed.alone), (vec![ready_id], false));
    }
}
