//! Publishing: one row for each registered group, idempotent for ids that the caller chose.

use events_core::{ChannelName, Error, Op, Result};
use events_queue::NewRow;
use rusqlite::{Statement, params};

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
    let mut insert = session.statement(&session.sql.insert)?;
    let mut stored = 0;
    for run in rows.chunk_by(|a, b| a.parts.channel == b.parts.channel) {
        let channel = &run[0].parts.channel;
        let mut queues = Vec::new();
        let mut events = 0;
        for row in run {
            if row.keyed && !take_key(session, row, now)? {
                continue;
            }
            if queues.is_empty() {
                queues = queues_of(session, channel)?;
            }
            insert_one(&mut insert, row, &queues, now)?;
            if row.keyed {
                note_key(session, row, queues.len())?;
            }
            events += 1;
        }
        stored += events;
        if events > 0 {
            rings.push(Ring::Channel {
                channel: channel.clone(),
                queues,
                events,
            });
        }
    }
    Ok(stored)
}

/// The queues of a channel; it gets its default group if it has none.
fn queues_of(session: Session<'_>, channel: &ChannelName) -> Result<Vec<i64>> {
    let queues = {
        let mut statement = session.statement(&session.sql.channel_queues)?;
        let rows = statement.query_map([channel.as_str()], |row| row.get(0));
        rows.and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
            .map_err(failed)?
    };
    if queues.is_empty() {
        return Ok(vec![register(session, channel, None)?.queue_id]);
    }
    Ok(queues)
}

/// Whether the id is new, or was forgotten.
fn take_key(db: Session<'_>, row: &NewRow, now: i64) -> Result<bool> {
    db.statement(&db.sql.key_forget)?
        .execute(params![row.id.as_bytes(), now])
        .map_err(failed)?;
    let new = db
        .statement(&db.sql.key_insert)?
        .execute([row.id.as_bytes()])
        .map_err(failed)?;
    Ok(new == 1)
}

/// Stores an event in each of the queues.
fn insert_one(insert: &mut Statement<'_>, row: &NewRow, queues: &[i64], now: i64) -> Result<()> {
    let parts = &row.parts;
    let status = if parts.delay.is_zero() {
        status::READY
    } else {
        status::DELAYED
    };
    for queue_id in queues {
        insert
            .execute(params![
                queue_id,
                row.id.as_bytes(),
                status,
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
            .map_err(failed)?;
    }
    Ok(())
}

/// The id is settled when so many groups have settled it.
fn note_key(db: Session<'_>, row: &NewRow, groups: usize) -> Result<()> {
    let groups = i64::try_from(groups).unwrap_or(i64::MAX);
    db.statement(&db.sql.key_pending)?
        .execute(params![row.id.as_bytes(), groups])
        .map_err(failed)?;
    Ok(())
}

fn failed(error: rusqlite::Error) -> Error {
    sqlite(Op::Publish, error)
}
