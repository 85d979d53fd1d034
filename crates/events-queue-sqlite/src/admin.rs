//! What operators ask for: counts and dead letters.

use std::collections::HashMap;
use std::time::Duration;

use events_core::{ChannelName, DeadLetter, EventId, GroupName, GroupStats, Op, Result, Stats};
use rusqlite::params;

use crate::bell::Ring;
use crate::claim::ids;
use crate::database::{Database, Session};
use crate::error::sqlite;
use crate::row::{
    DEFAULT_GROUP, attempts, collect, count, foreign_name, optional_text, text, timestamp,
};
use crate::steps::Step;

/// Dead letters that one transaction moves or deletes; few enough that no publisher waits
/// noticeably.
pub(crate) const BATCH: usize = 500;

/// Counts what is stored for one channel, or for all.
pub(crate) fn stats(db: Session<'_>, channel: Option<&ChannelName>) -> Result<Vec<Stats>> {
    let queues: Vec<(i64, Result<Names>)> = {
        let mut statement = db.statement(&db.sql.queues)?;
        let wanted = channel.map(ChannelName::as_str);
        let rows = statement.query_map([wanted], |row| Ok((row.get(0)?, names(row))));
        collect(rows)?
    };
    let mut all: Vec<Stats> = Vec::new();
    for (queue_id, names) in queues {
        let (channel, group) = match names {
            Ok(names) => names,
            // Nobody can consume it through this library, and the others are to be seen.
            Err(error) => {
                tracing::warn!(queue_id, %error, "a queue is left out of the statistics");
                continue;
            }
        };
        let mut stats = queue_stats(db, queue_id)?;
        stats.group = group;
        match all.last_mut().filter(|last| last.channel == channel) {
            Some(last) => last.groups.push(stats),
            None => {
                let mut first = Stats::new(channel);
                first.groups.push(stats);
                all.push(first);
            }
        }
    }
    Ok(all)
}

type Names = (ChannelName, Option<GroupName>);

fn names(row: &rusqlite::Row<'_>) -> Result<Names> {
    let [channel, group] = [text(row, 1).map_err(failed)?, text(row, 2).map_err(failed)?];
    let channel = ChannelName::new(channel).map_err(|e| foreign_name(&e))?;
    Ok((channel, group_name(&group)?))
}

fn queue_stats(db: Session<'_>, queue_id: i64) -> Result<GroupStats> {
    let mut stats = db
        .statement(&db.sql.stats)?
        .query_row([queue_id], |row| {
            Ok(GroupStats {
                ready: count(row.get(0)?),
                delayed: count(row.get(1)?),
                leased: count(row.get(2)?),
                acked: count(row.get(3)?),
                dead: count(row.get(4)?),
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
        let group = text(row, 1)?;
        let id = EventId::from_bytes(row.get(0)?);
        let mut letter =
            DeadLetter::new(id, channel.clone(), text(row, 3)?, timestamp(row.get(6)?));
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

/// Moves the dead letters of these rows back into their queue.
pub(crate) fn requeue(db: &mut Database, rows: &[i64]) -> Result<()> {
    let now = db.clock.micros();
    let mut requeued: HashMap<i64, usize> = HashMap::new();
    for row in rows {
        let (queue_id, event_id, keyed) = db
            .statement(&db.sql.requeue)?
            .query_row([*row, now], |row| {
                Ok((row.get(0)?, row.get::<_, [u8; 16]>(1)?, row.get(2)?))
            })
            .map_err(failed)?;
        delete(db, *row)?;
        if keyed {
            db.statement(&db.sql.key_pending)?
                .execute(params![event_id, 1])
                .map_err(failed)?;
        }
        *requeued.entry(queue_id).or_default() += 1;
    }
    requeued
        .into_iter()
        .for_each(|(queue_id, events)| db.ring(Ring::Queue(queue_id, events)));
    Ok(())
}

/// Deletes the dead letters of these rows for good.
pub(crate) fn purge_dead(db: &mut Database, rows: &[i64]) -> Result<()> {
    rows.iter().try_for_each(|row| delete(db, *row))
}

fn delete(db: &Database, row: i64) -> Result<()> {
    db.statement(&db.sql.dead_delete)?
        .execute([row])
        .map(drop)
        .map_err(failed)
}

/// Does `work` with the dead letters of these events.
pub(crate) fn with_events(
    db: &mut Database,
    channel: &ChannelName,
    events: &[EventId],
    work: DeadWork,
) -> Result<u64> {
    let mut rows = Vec::new();
    for id in events {
        let named = params![channel.as_str(), id.as_bytes()];
        rows.extend(ids(db, &db.sql.dead_of_event, named)?);
    }
    // An id may have been named twice.
    rows.sort_unstable();
    rows.dedup();
    work(db, &rows)?;
    Ok(rows.len() as u64)
}

/// Does `work` with the next dead letters of a channel, of those that were there at the first step.
pub(crate) fn with_all(
    db: &mut Database,
    channel: &ChannelName,
    work: DeadWork,
    from: Option<Step>,
) -> Result<Step> {
    let last = match from {
        Some(step) => step.last,
        None => db
            .statement(&db.sql.dead_last)?
            .query_row([], |row| row.get(0))
            .map_err(failed)?,
    };
    let after = from.map_or(i64::MIN, |step| step.reached);
    let most = i64::try_from(BATCH).unwrap_or(i64::MAX);
    let rows = ids(
        db,
        &db.sql.dead_ids,
        params![channel.as_str(), after, last, most],
    )?;
    work(db, &rows)?;
    Ok(Step {
        done: rows.len() as u64,
        reached: rows.last().copied().unwrap_or(last),
        last,
        more: rows.len() == BATCH,
    })
}

/// What is done with dead letters.
pub(crate) type DeadWork = fn(&mut Database, &[i64]) -> Result<()>;

fn group_name(stored: &str) -> Result<Option<GroupName>> {
    match stored {
        DEFAULT_GROUP => Ok(None),
        name => GroupName::new(name).map(Some).map_err(|e| foreign_name(&e)),
    }
}

fn failed(error: rusqlite::Error) -> events_core::Error {
    sqlite(Op::Admin, error)
}
