//! Publishing: one row for each registered group, in one statement for all events.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use events_core::{ChannelName, Op, Result};
use events_queue::NewRow;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::database::Database;
use crate::error::postgres;
use crate::row::{Json, micros, rank, seconds, uuid};

/// Stores events; answers how many were not repeats.
pub(crate) async fn insert(db: &Database, rows: &[NewRow]) -> Result<usize> {
    let columns = Columns::of(rows);
    let stored = if columns.plain {
        match insert_plain(db, &columns).await? {
            Ok(stored) => stored,
            // A channel without a group.
            Err(error) if error.code() == Some(&SqlState::NOT_NULL_VIOLATION) => {
                insert_any(db, &columns).await?
            }
            Err(error) => return Err(postgres(Op::Publish, error)),
        }
    } else {
        insert_any(db, &columns).await?
    };
    let mut channels: BTreeMap<&ChannelName, usize> = BTreeMap::new();
    for row in rows {
        *channels.entry(&row.parts.channel).or_default() += 1;
    }
    for (channel, events) in channels {
        db.wakes.ring_channel(channel, events);
    }
    Ok(stored)
}

/// The events as one array for each column.
struct Columns<'a> {
    channels: Vec<&'a str>,
    ids: Vec<Uuid>,
    ranks: Vec<i32>,
    expires_in: Vec<Option<i64>>,
    metadata: Vec<Option<Json<'a>>>,
    payloads: Vec<Json<'a>>,
    delays: Vec<i64>,
    keyed: Vec<bool>,
    /// Nothing is delayed and no id was chosen by the caller.
    plain: bool,
}

impl<'a> Columns<'a> {
    /// An id that is there twice is taken once.
    fn of(rows: &'a [NewRow]) -> Self {
        let many = rows.len();
        let mut columns = Self {
            channels: Vec::with_capacity(many),
            ids: Vec::with_capacity(many),
            ranks: Vec::with_capacity(many),
            expires_in: Vec::with_capacity(many),
            metadata: Vec::with_capacity(many),
            payloads: Vec::with_capacity(many),
            delays: Vec::with_capacity(many),
            keyed: Vec::with_capacity(many),
            plain: true,
        };
        let mut keys = HashSet::new();
        for row in rows {
            if row.keyed && !keys.insert(row.id) {
                continue;
            }
            let parts = &row.parts;
            columns.channels.push(parts.channel.as_str());
            columns.ids.push(uuid(&row.id));
            columns.ranks.push(rank(parts.priority));
            columns.expires_in.push(parts.expires_in.map(micros));
            let metadata = parts.metadata.as_ref();
            columns
                .metadata
                .push(metadata.map(|metadata| Json(metadata.text())));
            columns.payloads.push(Json(parts.payload.text()));
            columns.delays.push(micros(parts.delay));
            columns.keyed.push(row.keyed);
            columns.plain &= !row.keyed && parts.delay.is_zero();
        }
        columns
    }

    /// What both statements begin with.
    fn values(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        vec![
            (&self.channels, Type::TEXT_ARRAY),
            (&self.ids, Type::UUID_ARRAY),
            (&self.ranks, Type::INT4_ARRAY),
            (&self.expires_in, Type::INT8_ARRAY),
            (&self.metadata, Type::JSON_ARRAY),
            (&self.payloads, Type::JSON_ARRAY),
        ]
    }
}

async fn insert_plain(
    db: &Database,
    columns: &Columns<'_>,
) -> Result<Result<usize, tokio_postgres::Error>> {
    let relaxed = db.publish_relaxed();
    let mut values = columns.values();
    values.push((&relaxed, Type::BOOL));
    let rows = match db.publish(&db.sql.insert, &values).await? {
        Ok(rows) => rows,
        Err(error) => return Ok(Err(error)),
    };
    let mut lowest: BTreeMap<(i32, i32), i64> = BTreeMap::new();
    for row in &rows {
        let read = || Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?));
        let (place, id): ((i32, i32), i64) = read().map_err(|e| postgres(Op::Publish, e))?;
        lowest
            .entry(place)
            .and_modify(|known| *known = id.min(*known))
            .or_insert(id);
    }
    for ((queue_id, rank), id) in lowest {
        appeared(db, queue_id, rank, id);
    }
    Ok(Ok(columns.ids.len()))
}

async fn insert_any(db: &Database, columns: &Columns<'_>) -> Result<usize> {
    let relaxed = db.publish_relaxed();
    let mut values = columns.values();
    values.push((&columns.delays, Type::INT8_ARRAY));
    values.push((&columns.keyed, Type::BOOL_ARRAY));
    values.push((&relaxed, Type::BOOL));
    let rows = db.publish_again(&db.sql.insert_any, &values).await?;
    let mut keys = 0;
    for row in &rows {
        keys = note_any(db, row).map_err(|e| postgres(Op::Publish, e))?;
    }
    let unkeyed = columns.keyed.iter().filter(|keyed| !**keyed).count();
    Ok(unkeyed + usize::try_from(keys).unwrap_or_default())
}

/// Tells the frontier what one row of the answer says; answers how many keys were new.
fn note_any(db: &Database, row: &Row) -> Result<i64, tokio_postgres::Error> {
    if let Some(queue_id) = row.try_get::<_, Option<i32>>(0)? {
        if let Some(id) = row.try_get(2)? {
            appeared(db, queue_id, row.try_get(1)?, id);
        }
        if let Some(due) = row.try_get::<_, Option<f64>>(4)? {
            due_in(db, queue_id, seconds(due));
        }
    }
    row.try_get(5)
}

/// Events of one priority have appeared, from this id on.
fn appeared(db: &Database, queue_id: i32, rank: i32, id: i64) {
    if let Some(frontier) = db.frontiers.known(queue_id.into()) {
        frontier.lock().rewind(Some(rank), id);
    }
}

fn due_in(db: &Database, queue_id: i32, time: Duration) {
    if let Some(frontier) = db.frontiers.known(queue_id.into()) {
        frontier.lock().due_in(time);
    }
}
