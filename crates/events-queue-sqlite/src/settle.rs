//! Verdicts, each fenced by the token of its claim.

use events_core::{Op, Result};
use events_queue::{Outcome, StoreSettlement, StoreVerdict};
use rusqlite::{OptionalExtension, params};

use crate::bell::Ring;
use crate::bury::{bury, key_settled};
use crate::database::Database;
use crate::error::sqlite;
use crate::row::micros;
use crate::status;

/// Records verdicts, in order.
pub(crate) fn settle(db: &mut Database, settlements: &[StoreSettlement]) -> Result<Vec<Outcome>> {
    let now = db.clock.micros();
    settlements
        .iter()
        .map(|settlement| settle_one(db, settlement, now))
        .collect()
}

fn settle_one(db: &mut Database, settlement: &StoreSettlement, now: i64) -> Result<Outcome> {
    let recorded = match &settlement.verdict {
        StoreVerdict::Ack => ack(db, settlement, now)?,
        StoreVerdict::Retry { after, error } => {
            let waiting = if after.is_zero() {
                status::READY
            } else {
                status::DELAYED
            };
            let available_at = now.saturating_add(micros(*after));
            let StoreSettlement {
                token, event_id, ..
            } = settlement;
            let retried = db
                .statement(&db.sql.retry)?
                .execute(params![
                    token.row,
                    token.fence,
                    event_id.as_bytes(),
                    waiting,
                    available_at,
                    error,
                    token.queue_id
                ])
                .map_err(|e| sqlite(Op::Nack, e))?;
            retried == 1
        }
        StoreVerdict::Dead { reason, error } => {
            let held = matches!(
                status(db, settlement)?,
                Some(status::SUSPECT | status::LEASED)
            );
            if held {
                bury(db, settlement.token.row, *reason, error.as_deref(), now)?;
            }
            held
        }
        StoreVerdict::Extend(by) => {
            let until = now.saturating_add(micros(*by));
            fenced(db, &db.sql.extend, settlement, Some(until), Op::Extend)?
        }
        StoreVerdict::Release { suspect } => {
            let status = if *suspect {
                status::SUSPECT
            } else {
                status::READY
            };
            fenced(db, &db.sql.release, settlement, Some(status), Op::Nack)?
        }
    };
    if !recorded {
        return Ok(match status(db, settlement)? {
            Some(status::ACKED) => Outcome::AlreadyAcked,
            Some(status::READY | status::DELAYED) => Outcome::AlreadyNacked,
            _ => Outcome::Gone,
        });
    }
    // Somebody may want it, now or at a time that is sooner than what idle consumers wait for.
    if matches!(
        settlement.verdict,
        StoreVerdict::Retry { .. } | StoreVerdict::Release { .. }
    ) {
        db.ring(Ring::Queue(settlement.token.queue_id, 1));
    }
    Ok(Outcome::Recorded)
}

fn ack(db: &Database, settlement: &StoreSettlement, now: i64) -> Result<bool> {
    let acked = if db.config.retention.is_zero() {
        fenced(db, &db.sql.ack_delete, settlement, None, Op::Ack)?
    } else {
        fenced(db, &db.sql.ack_keep, settlement, Some(now), Op::Ack)?
    };
    if acked && settlement.token.keyed {
        key_settled(db, settlement.event_id, now)?;
    }
    Ok(acked)
}

/// Runs a statement that changes the row only if the holding is still the last one.
fn fenced(
    db: &Database,
    sql: &str,
    settlement: &StoreSettlement,
    value: Option<i64>,
    op: Op,
) -> Result<bool> {
    let StoreSettlement {
        token, event_id, ..
    } = settlement;
    let mut statement = db.statement(sql)?;
    let changed = match value {
        Some(value) => statement.execute(params![
            token.row,
            token.fence,
            event_id.as_bytes(),
            value,
            token.queue_id
        ]),
        None => statement.execute(params![
            token.row,
            token.fence,
            event_id.as_bytes(),
            token.queue_id
        ]),
    };
    changed.map(|rows| rows == 1).map_err(|e| sqlite(op, e))
}

/// The status of the row, if this holding is still its last one.
fn status(db: &Database, settlement: &StoreSettlement) -> Result<Option<i64>> {
    let StoreSettlement {
        token, event_id, ..
    } = settlement;
    db.statement(&db.sql.inspect)?
        .query_row(
            params![token.row, token.fence, event_id.as_bytes(), token.queue_id],
            |row| row.get(0),
        )
        .optional()
        .map_err(|e| sqlite(Op::Ack, e))
}
