//! Dead letters: how an event becomes one, and what that means for its key.

use events_core::{EventId, Op, Result};
use events_queue::DeadReason;
use rusqlite::{OptionalExtension, params};

use crate::database::Database;
use crate::error::sqlite;
use crate::row::micros;

/// An hour: the shortest time for which a caller's id is remembered.
const LEAST_KEY_MICROS: i64 = 3_600_000_000;

/// Moves an event to the dead letters.
pub(crate) fn bury(
    db: &Database,
    row: i64,
    reason: DeadReason,
    error: Option<&str>,
    now: i64,
) -> Result<()> {
    let failed = |e| sqlite(Op::Nack, e);
    db.statement(&db.sql.bury)?
        .execute(params![row, reason.as_str(), now, error])
        .map_err(failed)?;
    let buried = db
        .statement(&db.sql.bury_delete)?
        .query_row([row], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .map_err(failed)?;
    if let Some((event_id, true)) = buried {
        key_settled(db, EventId::from_bytes(event_id), now)?;
    }
    Ok(())
}

/// One group less has to settle the event of this key.
pub(crate) fn key_settled(db: &Database, id: EventId, now: i64) -> Result<()> {
    let keep = micros(db.config.retention).max(LEAST_KEY_MICROS);
    db.statement(&db.sql.key_settled)?
        .execute(params![id.as_bytes(), now.saturating_add(keep)])
        .map(drop)
        .map_err(|e| sqlite(Op::Ack, e))
}
