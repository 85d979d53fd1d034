//! Publishing: one row for each registered group, idempotent for ids that the caller chose.

use events_core::{Op, Result};
use events_queue::NewRow;
use rusqlite::params;

use crate::bell::Ring;
use crate::database::{Database, Session};
use crate::error::sqlite;
use crate::register::register;
use crate::row::micros;
use crate::status;

/// Stores events; answers how many were not repeats. The transaction is the caller's.
pub(crate) fn insert(db: &mut Database, rows: &[NewRow]) -> Result<usize> {
    let mut rings = Vec::new();
    let stored = insert_into(db.session(), rows, &mut rings)?;
    rings.into_iter().for_each(|ring| db.ring(ring));
    Ok(stored)
}

/// The same on any connection; answers too who is to be woken after the commit.
pub(crate) fn insert_into(
    session: Session<'_>,
    rows: &[NewRow],
    rings: &mut Vec<Ring>,
) -> Result<usize> {
    let now = session.clock.micros();
    let mut stored = 0;
    for run in rows.chunk_by(|a, b| a.parts.channel == b.parts.channel) {
        let before = stored;
        for row in run {
            stored += usize::from(insert_one(session, row, now)?);
        }
        rings.push(Ring::Channel(run[0].parts.channel.clone(), stored - before));
    }
    Ok(stored)
}

fn insert_one(db: Session<'_>, row: &NewRow, now: i64) -> Result<bool> {
    if row.keyed && !take_key(db, row, now)? {
        return Ok(false);
    }
    let mut groups = insert_rows(db, row, now)?;
    if groups == 0 {
        register(db, &row.parts.channel, None)?;
        groups = insert_rows(db, row, now)?;
    }
    if row.keyed {
        db.statement(&db.sql.key_pending)?
            .execute(params![
                row.id.as_bytes(),
                i64::try_from(groups).unwrap_or(i64::MAX)
            ])
            .map_err(|e| sqlite(Op::Publish, e))?;
    }
    Ok(true)
}

/// Whether the id is new, or was forgotten.
fn take_key(db: Session<'_>, row: &NewRow, now: i64) -> Result<bool> {
    let failed = |e| sqlite(Op::Publish, e);
    db.statement(&db.sql.key_forget)?
        .execute(params![row.id.as_bytes(), now])
        .map_err(failed)?;
    let new = db
        .statement(&db.sql.key_insert)?
        .execute([row.id.as_bytes()])
        .map_err(failed)?;
    Ok(new == 1)
}

/// How many groups got the event.
fn insert_rows(db: Session<'_>, row: &NewRow, now: i64) -> Result<usize> {
    let parts = &row.parts;
    db.statement(&db.sql.insert)?
        .execute(params![
            parts.channel.as_str(),
            row.id.as_bytes(),
            if parts.delay.is_zero() {
                status::READY
            } else {
                status::DELAYED
            },
            parts.priority,
            now.saturating_add(micros(parts.delay)),
            parts
                .expires_in
                .map(|time| now.saturating_add(micros(time))),
            now,
            row.keyed,
            parts.metadata.as_ref().map(|metadata| metadata.text()),
            parts.payload.text(),
        ])
        .map_err(|e| sqlite(Op::Publish, e))
}
