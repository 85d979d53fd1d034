//! What operators ask for: counts and dead letters.

use std::time::Duration;

use events_core::{ChannelName, DeadLetter, EventId, GroupStats, Result, Stats, Timestamp};
use events_oracle_session::{Class, Columns as _, Value, class_of};

use crate::database::{Ring, Turn};
use crate::row::{attempts, event_id, foreign_name, group_name, id, json, time, within};

/// Counts what is stored for one channel, or for all.
pub(crate) fn stats(turn: &Turn<'_>, channel: Option<&ChannelName>) -> Result<Vec<Stats>> {
    let wanted = channel.map(|channel| channel.as_str().to_owned());
    let binds = [("channel", Value::Text(wanted))];
    let rows = turn.query(&turn.db.sql.stats, &binds, |row| {
        let count = |column| row.integer(column).map(within);
        let now = time(row, 8)?;
        let age = |at: Timestamp| Duration::try_from(now.duration_since(at)).unwrap_or_default();
        let stats = GroupStats {
            ready: count(2)?,
            delayed: count(3)?,
            leased: count(4)?,
            acked: count(5)?,
            dead: count(6)?,
            oldest_ready_age: row.time(7)?.map(age),
            ..GroupStats::default()
        };
        Ok((row.text(0)?, row.text(1)?, stats))
    })?;
    let mut all: Vec<Stats> = Vec::new();
    for (channel, group, mut stats) in rows {
        stats.group = group_name(&group)?;
        match all.last_mut().filter(|last| last.channel == *channel) {
            Some(last) => last.groups.push(stats),
            None => {
                let channel = ChannelName::new(channel).map_err(|e| foreign_name(&e))?;
                let mut first = Stats::new(channel);
                first.groups.push(stats);
                all.push(first);
            }
        }
    }
    Ok(all)
}

/// The newest dead letters of a channel.
pub(crate) fn dead_letters(
    turn: &Turn<'_>,
    channel: &ChannelName,
    limit: usize,
) -> Result<Vec<DeadLetter>> {
    let binds = [("channel", Value::from(channel.as_str()))];
    let rows = turn.query_some(&turn.db.sql.dead_letters, &binds, limit, |row| {
        let died_at = time(row, 6)?;
        let mut letter = DeadLetter::new(event_id(row, 0)?, channel.clone(), row.text(3)?, died_at);
        letter.attempts = attempts(row.integer(2)?);
        letter.last_error = Some(row.text(4)?).filter(|text| !text.is_empty());
        letter.created_at = time(row, 5)?;
        let metadata = json(row, 7)?;
        letter.metadata = metadata.and_then(|text| serde_json::from_str(&text).ok());
        let payload = json(row, 8)?.unwrap_or_default();
        letter.payload = serde_json::from_str(&payload).unwrap_or(payload.into());
        Ok((letter, row.text(1)?))
    })?;
    let named = |(mut letter, group): (DeadLetter, String)| {
        letter.group = group_name(&group)?;
        Ok(letter)
    };
    rows.into_iter().map(named).collect()
}

/// A dead letter, as far as it matters for moving it.
struct Dead {
    id: i64,
    queue_id: i64,
    event_id: EventId,
    keyed: bool,
}

/// Moves dead letters back into their queue.
pub(crate) fn requeue(
    turn: &mut Turn<'_>,
    channel: &ChannelName,
    ids: Option<&[EventId]>,
) -> Result<u64> {
    let db = turn.db;
    let mut dead = dead_rows(turn, channel, ids)?;
    let held = turn.each(&db.sql.dead_hold, &by_id(&dead))?;
    let mut held = held.into_iter();
    dead.retain(|_| held.next() == Some(1));
    turn.each(&db.sql.requeue, &by_id(&dead))?;
    turn.each(&db.sql.dead_remove, &by_id(&dead))?;
    for dead in &dead {
        if dead.keyed {
            claim_key(turn, &dead.event_id)?;
        }
        turn.ring(Ring::Queue(dead.queue_id));
    }
    Ok(dead.len() as u64)
}

/// A key that was forgotten meanwhile is remembered again.
fn claim_key(turn: &mut Turn<'_>, event_id: &EventId) -> Result<()> {
    let db = turn.db;
    let key = [("event_id", id(event_id))];
    if turn.execute(&db.sql.key_again, &key)? == 1 {
        return Ok(());
    }
    let binds = [("event_id", id(event_id)), ("pending", Value::from(1))];
    match turn.try_execute(&db.sql.key_insert, &binds) {
        Ok(_) => Ok(()),
        Err(error) if class_of(&error).0 == Class::Conflict => {
            turn.execute(&db.sql.key_again, &key).map(drop)
        }
        Err(error) => Err(turn.failed(error)),
    }
}

/// Deletes dead letters for good.
pub(crate) fn purge_dead(
    turn: &mut Turn<'_>,
    channel: &ChannelName,
    ids: Option<&[EventId]>,
) -> Result<u64> {
    let dead = dead_rows(turn, channel, ids)?;
    let removed = turn.each(&turn.db.sql.dead_remove, &by_id(&dead))?;
    Ok(removed.into_iter().sum())
}

fn by_id(dead: &[Dead]) -> Vec<Vec<(&'static str, Value)>> {
    dead.iter()
        .map(|dead| vec![("id", Value::from(dead.id))])
        .collect()
}

fn dead_rows(
    turn: &Turn<'_>,
    channel: &ChannelName,
    wanted: Option<&[EventId]>,
) -> Result<Vec<Dead>> {
    let of = |event: Option<&EventId>| {
        let event = event.map(|id| id.as_bytes().to_vec());
        let binds = [
            ("channel", Value::from(channel.as_str())),
            ("event_id", Value::Bytes(event)),
        ];
        turn.query(&turn.db.sql.dead_ids, &binds, |row| {
            Ok(Dead {
                id: row.integer(0)?,
                queue_id: row.integer(1)?,
                event_id: event_id(row, 2)?,
                keyed: row.integer(3)? != 0,
            })
        })
    };
    let Some(wanted) = wanted else {
        return of(None);
    };
    let mut rows = Vec::new();
    for id in wanted {
        rows.extend(of(Some(id))?);
    }
    // An id may have been named twice.
    rows.sort_unstable_by_key(|dead| dead.id);
    rows.dedup_by_key(|dead| dead.id);
    Ok(rows)
}
