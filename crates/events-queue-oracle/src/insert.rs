//! Publishing: one row for each registered group, idempotent for ids that the caller chose.

use std::time::Duration;

use events_core::{ChannelName, Result, Timestamp};
use events_oracle_session::{Class, Columns as _, Value, class_of};
use events_queue::NewRow;

use crate::database::{Ring, Turn};
use crate::register::register;
use crate::row::{DELAYED, READY, id, seconds, time};

/// The most executions of one round trip.
const MOST_ROWS: usize = 500;
/// The most bytes of events of one round trip, beyond its first row. All rows share a buffer that
/// is as wide as the longest value.
const MOST_BYTES: usize = 4 * 1024 * 1024;

type Row = Vec<(&'static str, Value)>;

/// Stores events; answers how many were not repeats.
pub(crate) fn insert(turn: &mut Turn<'_>, rows: &[NewRow]) -> Result<usize> {
    let mut stored = 0;
    let mut batch = Batch::default();
    let mut published_at = None;
    for run in rows.chunk_by(|a, b| a.parts.channel == b.parts.channel) {
        let channel = &run[0].parts.channel;
        let (queues, now) = queues_of(turn, channel)?;
        let now = *published_at.get_or_insert(now);
        let before = stored;
        for row in run {
            if row.keyed && !take_key(turn, row, queues.len())? {
                continue;
            }
            stored += 1;
            for queue_id in &queues {
                batch.push(turn, row, *queue_id, now)?;
            }
        }
        turn.ring(Ring::Channel(channel.clone(), stored - before));
    }
    batch.flush(turn)?;
    Ok(stored)
}

/// The queues of a channel, and the server's time; a channel without a queue gets the default group.
fn queues_of(turn: &mut Turn<'_>, channel: &ChannelName) -> Result<(Vec<i64>, Timestamp)> {
    let db = turn.db;
    let binds = [("channel", Value::from(channel.as_str()))];
    let rows = turn.query(&db.sql.queues_of, &binds, |row| {
        Ok((row.optional_integer(0)?, time(row, 1)?))
    })?;
    let now = rows.first().map_or(Timestamp::UNIX_EPOCH, |(_, now)| *now);
    let mut queues: Vec<i64> = rows.into_iter().filter_map(|(queue, _)| queue).collect();
    if queues.is_empty() {
        queues.push(register(turn, channel, None)?.queue_id);
    }
    Ok((queues, now))
}

/// Whether the id is new, or was forgotten.
fn take_key(turn: &mut Turn<'_>, row: &NewRow, groups: usize) -> Result<bool> {
    let db = turn.db;
    turn.execute(&db.sql.key_forget, &[("event_id", id(&row.id))])?;
    let pending = i64::try_from(groups).unwrap_or(i64::MAX);
    let binds = [("event_id", id(&row.id)), ("pending", Value::from(pending))];
    match turn.try_execute(&db.sql.key_insert, &binds) {
        Ok(_) => Ok(true),
        Err(error) if class_of(&error).0 == Class::Conflict => Ok(false),
        Err(error) => Err(turn.failed(error)),
    }
}

/// Rows that go to the server together.
#[derive(Default)]
struct Batch {
    rows: Vec<Row>,
    widest: usize,
}

impl Batch {
    fn push(
        &mut self,
        turn: &mut Turn<'_>,
        row: &NewRow,
        queue_id: i64,
        now: Timestamp,
    ) -> Result<()> {
        let metadata = row.parts.metadata.as_ref().map_or(0, |m| m.text().len());
        let widest = self.widest.max(row.parts.payload.text().len() + metadata);
        let rows = self.rows.len() + 1;
        if rows > MOST_ROWS || (rows > 1 && widest * rows > MOST_BYTES) {
            self.flush(turn)?;
        }
        self.widest = self.widest.max(row.parts.payload.text().len() + metadata);
        self.rows.push(binds(row, queue_id, now));
        Ok(())
    }

    fn flush(&mut self, turn: &mut Turn<'_>) -> Result<()> {
        let db = turn.db;
        turn.each(&db.sql.insert, &std::mem::take(&mut self.rows))?;
        self.widest = 0;
        Ok(())
    }
}

fn binds(row: &NewRow, queue_id: i64, now: Timestamp) -> Row {
    let parts = &row.parts;
    let expires_in = match parts.expires_in {
        Some(time) => seconds(time),
        None => Value::Number(None),
    };
    let metadata = parts.metadata.as_ref();
    vec![
        ("queue_id", Value::from(queue_id)),
        ("event_id", id(&row.id)),
        ("status", Value::from(state_after(parts.delay))),
        ("priority", Value::from(-i64::from(parts.priority))),
        ("keyed", Value::from(i64::from(row.keyed))),
        ("now", Value::from(now)),
        ("delay", seconds(parts.delay)),
        ("expires_in", expires_in),
        (
            "metadata",
            Value::Bytes(metadata.map(|text| text.text().as_bytes().to_vec())),
        ),
        ("payload", Value::from(parts.payload.text().as_bytes())),
    ]
}

/// The state of an event that becomes claimable after this time.
pub(crate) fn state_after(delay: Duration) -> i64 {
    if delay.is_zero() { READY } else { DELAYED }
}
