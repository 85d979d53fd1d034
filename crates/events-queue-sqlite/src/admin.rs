//! What operators ask for: counts and dead letters.

use std::collections::HashMap;
use std::time::Duration;

use events_core::{ChannelName, DeadLetter, EventId, GroupName, GroupStats, Op, Result, Stats};
use rusqlite::params;

use crate::bell::Ring;
use crate::claim::ids;
use crate::database::Database;
use crate::error::sqlite;
use crate::row::{
    DEFAULT_GROUP, attempts, collect, count, foreign_name, optional_text, text, timestamp,
};

/// Counts what is stored for one channel, or for all.
pub(crate) fn stats(db: &Database, channel: Option<&ChannelName>) -> Result<Vec<Stats>> {
    let acked: HashMap<i64, i64> = {
        let mut statement = db.statement(&db.sql.stats_acked)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        collect(rows)?.into_iter().collect()
    };
    let queues: Vec<(i64, String, String)> = {
        let mut statement = db.statement(&db.sql.queues)?;
        let wanted = channel.map(ChannelName::as_str);
        let rows = statement.query_map([wanted], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        collect(rows)?
    };
    let mut all: Vec<Stats> = Vec::new();
    for (queue_id, channel, group) in queues {
        let mut stats = queue_stats(db, queue_id)?;
        stats.group = group_name(&group)?;
        stats.acked = count(acked.get(&queue_id).copied().unwrap_or_default());
        match all
            .last_mut()
            .filter(|last| last.channel == channel.as_str())
        {
            Some(last) => last.groups.push(stats),
            None => {
                let mut first =
                    Stats::new(ChannelName::new(channel).map_err(|e| foreign_name(&e))?);
                first.groups.push(stats);
                all.push(first);
            }
        }
    }
    Ok(all)
}

fn queue_stats(db: &Database, queue_id: i64) -> Result<GroupStats> {
    let mut stats = db
        .statement(&db.sql.stats)?
        .query_row([queue_id], |row| {
            Ok(GroupStats {
                ready: count(row.get(0)?),
                delayed: count(row.get(1)?),
                leased: count(row.get(2)?),
                dead: count(row.get(3)?),
                ..GroupStats::default()
            })
        })
        .map_err(failed)?;
    let oldest: Option<i64> = db
        .statement(&db.sql.oldest)?
        .query_row([queue_id], |row| row.get(0))
        .map_err(failed)?;
    let age = |at| Duration::from_micros(count(db.clock.micros().saturating_sub(at)));
    stats.oldest_ready_age = oldest.map(age);
    Ok(stats)
}

/// The newest dead letters of a channel.
pub(crate) fn dead_letters(
    db: &Database,
    channel: &ChannelName,
    limit: usize,
) -> Result<Vec<DeadLetter>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = db.statement(&db.sql.dead_letters)?;
    let rows = statement.query_map(params![channel.as_str(), limit], |row| {
        let group: String = row.get(1)?;
        let id = EventId::from_bytes(row.get(0)?);
        let mut letter = DeadLetter::new(id, channel.clone(), row.get(3)?, timestamp(row.get(6)?));
        letter.attempts = attempts(row.get(2)?);
        letter.last_error = optional_text(row, 4)?;
        letter.created_at = timestamp(row.get(5)?);
        let metadata = optional_text(row, 7)?;
        letter.metadata = metadata.and_then(|text| serde_json::from_str(&text).ok());
        let payload = text(row, 8)?;
        letter.payload = serde_json::from_str(&payload).unwrap_or(payload.into());
        Ok((letter, group))
    });
    let named = |(mut letter, group): (DeadLetter, String)| {
        letter.group = group_name(&group)?;
        Ok(letter)
    };
    collect(rows)?.into_iter().map(named).collect()
}

/// Moves dead letters back into their queue.
pub(crate) fn requeue(
    db: &mut Database,
    channel: &ChannelName,
    ids: Option<&[EventId]>,
) -> Result<u64> {
    let now = db.clock.micros();
    let rows = dead_rows(db, channel, ids)?;
    for row in &rows {
        let (queue_id, event_id, keyed) = db
            .statement(&db.sql.requeue)?
            .query_row([*row, now], |row| {
                Ok((row.get(0)?, row.get::<_, [u8; 16]>(1)?, row.get(2)?))
            })
            .map_err(failed)?;
        db.statement(&db.sql.dead_delete)?
            .execute([row])
            .map_err(failed)?;
        if keyed {
            db.statement(&db.sql.key_pending)?
                .execute(params![event_id, 1])
                .map_err(failed)?;
        }
        db.ring(Ring::Queue(queue_id, 1));
    }
    Ok(rows.len() as u64)
}

/// Deletes dead letters for good.
pub(crate) fn purge_dead(
    db: &Database,
    channel: &ChannelName,
    ids: Option<&[EventId]>,
) -> Result<u64> {
    let rows = dead_rows(db, channel, ids)?;
    for row in &rows {
        db.statement(&db.sql.dead_delete)?
            .execute([row])
            .map_err(failed)?;
    }
    Ok(rows.len() as u64)
}

fn dead_rows(db: &Database, channel: &ChannelName, wanted: Option<&[EventId]>) -> Result<Vec<i64>> {
    let Some(wanted) = wanted else {
        return ids(
            db,
            &db.sql.dead_ids,
            params![channel.as_str(), Option::<&[u8]>::None],
        );
    };
    let mut rows = Vec::new();
    for id in wanted {
        rows.extend(ids(
            db,
            &db.sql.dead_ids,
            params![channel.as_str(), id.as_bytes()],
        )?);
    }
    // An id may have been named twice.
    rows.sort_unstable();
    rows.dedup();
    Ok(rows)
}

fn group_name(stored: &str) -> Result<Option<GroupName>> {
    match stored {
        DEFAULT_GROUP => Ok(None),
        name => GroupName::new(name).map(Some).map_err(|e| foreign_name(&e)),
    }
}

fn failed(error: rusqlite::Error) -> events_core::Error {
    sqlite(Op::Admin, error)
}
