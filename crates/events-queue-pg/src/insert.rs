//! Publishing: one row for each registered group, in one statement for all events.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use events_core::{ChannelName, Op, Result};
use events_queue::NewRow;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::database::Database;
use crate::error::postgres;
use crate::gather::Shared;
use crate::row::{Json, micros, rank, seconds, uuid};

/// Stores events for several callers at once.
#[derive(Debug)]
pub(crate) struct Publishing(pub(crate) Arc<Database>);

impl Shared for Publishing {
    type Request = Vec<NewRow>;
    type Answer = usize;
    const MOST: usize = 1000;
    const OP: Op = Op::Publish;

    /// Of events whose id the caller chose it must be known how many were repeats.
    fn weight(request: &Self::Request) -> Option<usize> {
        let keyed = request.iter().any(|row| row.keyed);
        (!keyed).then_some(request.len())
    }

    async fn run(&self, requests: &[Self::Request]) -> Result<Vec<usize>> {
        let db = &self.0;
        let columns = Columns::of(requests.iter().flatten());
        let stored = insert(db, &columns).await?;
        let mut channels: BTreeMap<&ChannelName, usize> = BTreeMap::new();
        for row in requests.iter().flatten() {
            *channels.entry(&row.parts.channel).or_default() += 1;
        }
        stored.tell(db);
        for (channel, events) in channels {
            db.wakes.ring_channel(channel, events);
        }
        Ok(match requests {
            [_] => vec![stored.events],
            // None of them was a repeat.
            several => several.iter().map(Vec::len).collect(),
        })
    }
}

/// What a publish brought into which queues.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// How many events were not repeats.
    pub(crate) events: usize,
    appeared: Vec<Appeared>,
}

/// Events of one queue and priority.
#[derive(Debug)]
struct Appeared {
    queue_id: i32,
    rank: i32,
    /// The lowest id of those that can be claimed.
    lowest: Option<i64>,
    /// When the first of those with a delay is due.
    due: Option<Duration>,
}

impl Stored {
    /// Tells frontiers of this process and consumers of others, once the events are committed.
    pub(crate) fn tell(&self, db: &Database) {
        for appeared in &self.appeared {
            let queue_id = appeared.queue_id.into();
            if let Some(frontier) = db.frontiers.known(queue_id) {
                let mut state = frontier.lock();
                if let Some(id) = appeared.lowest {
                    state.rewind(Some(appeared.rank), id);
                }
                if let Some(due) = appeared.due {
                    state.due_in(due);
                }
            }
            db.announce(queue_id, appeared.lowest);
        }
    }

    /// The queues and what to tell of them.
    pub(crate) fn hints(&self) -> impl Iterator<Item = (i32, Option<i64>)> {
        self.appeared.iter().map(|new| (new.queue_id, new.lowest))
    }
}

async fn insert(db: &Database, columns: &Columns<'_>) -> Result<Stored> {
    if columns.plain {
        let relaxed = db.publish_relaxed();
        let mut values = columns.values();
        values.push((&relaxed, Type::BOOL));
        let channel = columns.one_channel();
        let sql = match &channel {
            Some(channel) => {
                values[0] = (channel, Type::TEXT);
                &db.sql.insert_batch
            }
            None => &db.sql.insert,
        };
        match db.publish(sql, &values).await? {
            Ok(rows) => return plain(columns, &rows),
            // A channel without a group.
            Err(error) if error.code() == Some(&SqlState::NOT_NULL_VIOLATION) => {}
            Err(error) => return Err(postgres(Op::Publish, error)),
        }
    }
    let relaxed = db.publish_relaxed();
    let values = columns.all_values(&relaxed);
    let rows = db.publish_again(&db.sql.insert_any, &values).await?;
    any(columns, &rows).map_err(|e| postgres(Op::Publish, e))
}

fn plain(columns: &Columns<'_>, rows: &[Row]) -> Result<Stored> {
    let mut lowest: BTreeMap<(i32, i32), i64> = BTreeMap::new();
    for row in rows {
        let read = || Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?));
        let (place, id): ((i32, i32), i64) = read().map_err(|e| postgres(Op::Publish, e))?;
        lowest
            .entry(place)
            .and_modify(|known| *known = id.min(*known))
            .or_insert(id);
    }
    let appeared = lowest.into_iter().map(|((queue_id, rank), id)| Appeared {
        queue_id,
        rank,
        lowest: Some(id),
        due: None,
    });
    Ok(Stored {
        events: columns.ids.len(),
        appeared: appeared.collect(),
    })
}

/// Reads the answer of the statement that can do everything.
pub(crate) fn any(columns: &Columns<'_>, rows: &[Row]) -> Result<Stored, tokio_postgres::Error> {
    let mut stored = Stored::default();
    let mut keys = 0;
    for row in rows {
        if let Some(queue_id) = row.try_get(0)? {
            stored.appeared.push(Appeared {
                queue_id,
                rank: row.try_get(1)?,
                lowest: row.try_get(2)?,
                due: row.try_get::<_, Option<f64>>(4)?.map(seconds),
            });
        }
        keys = row.try_get::<_, i64>(5)?;
    }
    let unkeyed = columns.keyed.iter().filter(|keyed| !**keyed).count();
    stored.events = unkeyed + usize::try_from(keys).unwrap_or_default();
    Ok(stored)
}

/// The events as one array for each column.
#[derive(Default)]
pub(crate) struct Columns<'a> {
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
    pub(crate) fn of(rows: impl Iterator<Item = &'a NewRow>) -> Self {
        let mut columns = Self {
            plain: true,
            ..Self::default()
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

    /// The channel, if there are several events and all of them are for it.
    fn one_channel(&self) -> Option<&'a str> {
        let (first, others) = self.channels.split_first()?;
        let same = !others.is_empty() && others.iter().all(|other| other == first);
        same.then_some(*first)
    }

    /// What all statements begin with.
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

    /// What the statement takes that can do everything.
    pub(crate) fn all_values<'s>(
        &'s self,
        relaxed: &'s bool,
    ) -> Vec<(&'s (dyn ToSql + Sync), Type)> {
        let mut values = self.values();
        values.push((&self.delays, Type::INT8_ARRAY));
        values.push((&self.keyed, Type::BOOL_ARRAY));
        values.push((relaxed, Type::BOOL));
        values
    }
}
