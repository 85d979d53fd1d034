//! Publishing: one row for each registered group, in one statement for all events.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use events_core::{ChannelName, Error, ErrorKind, Op, Result};
use events_queue::NewRow;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::database::Database;
use crate::error::postgres;
use crate::gather::Shared;
use crate::register::{Queues, register_default};
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

    fn bytes(request: &Self::Request) -> usize {
        let size = |row: &NewRow| {
            let metadata = row.parts.metadata.as_ref();
            row.parts.payload.text().len() + metadata.map_or(0, |metadata| metadata.text().len())
        };
        request.iter().map(size).sum()
    }

    async fn run(&self, requests: &[Self::Request]) -> Result<Vec<Result<usize>>> {
        let db = &self.0;
        let (mut told, mut held) = (Queues::default(), BTreeMap::<String, Error>::new());
        let stored = loop {
            let goes = |request: &&Vec<NewRow>| refused(request, &held).is_none();
            let columns = Columns::of(requests.iter().filter(goes).flatten());
            match insert(db, &columns, &told).await? {
                Ok(stored) => break stored,
                Err(missing) => {
                    for channel in missing {
                        match register_default(db, &channel, &mut told).await {
                            Ok(()) => {}
                            // That is the trouble of those who publish to it.
                            Err(error) if error.kind() == ErrorKind::Busy => {
                                held.insert(channel, error);
                            }
                            Err(error) => return Err(error),
                        }
                    }
                }
            }
        };
        let mut channels: BTreeMap<&ChannelName, usize> = BTreeMap::new();
        let going = requests.iter().filter(|r| refused(r, &held).is_none());
        for row in going.flatten() {
            *channels.entry(&row.parts.channel).or_default() += 1;
        }
        stored.tell(db);
        for (channel, events) in channels {
            db.wakes.ring_channel(channel, events);
        }
        let answer = |request: &Vec<NewRow>| match (refused(request, &held), requests) {
            (Some(error), _) => Err(error.clone()),
            (None, [_]) => Ok(stored.events),
            // None of them was a repeat.
            (None, _) => Ok(request.len()),
        };
        Ok(requests.iter().map(answer).collect())
    }
}

/// Why a request is not done, if it is for one of these channels.
fn refused<'e>(request: &[NewRow], held: &'e BTreeMap<String, Error>) -> Option<&'e Error> {
    let mut channels = request.iter().map(|row| row.parts.channel.as_str());
    channels.find_map(|channel| held.get(channel))
}

/// What a publish brought into which queues.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// How many events were not repeats.
    pub(crate) events: usize,
    appeared: Vec<Appeared>,
}

/// Stored, or these channels are not registered and nothing was stored.
pub(crate) type Answer = std::result::Result<Stored, Vec<String>>;

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

async fn insert(db: &Database, columns: &Columns<'_>, told: &Queues) -> Result<Answer> {
    if columns.ids.is_empty() {
        return Ok(Ok(Stored::default()));
    }
    if columns.plain && told.ids.is_empty() {
        let relaxed = db.publish_relaxed();
        let channel = columns.one_channel();
        let (sql, mut values) = match (&columns.ids[..], &channel) {
            ([_], _) => (&db.sql.insert_one, columns.first_values()),
            (_, Some(channel)) => {
                let mut values = columns.values();
                values[0] = (channel, Type::TEXT);
                (&db.sql.insert_batch, values)
            }
            (_, None) => (&db.sql.insert, columns.values()),
        };
        values.push((&relaxed, Type::BOOL));
        match db.publish(sql, &values).await? {
            // One event of a channel without a group.
            Ok(rows) if rows.is_empty() => {}
            Ok(rows) => return plain(columns, &rows).map(Ok),
            // Several, one of them of such a channel.
            Err(error) if error.code() == Some(&SqlState::NOT_NULL_VIOLATION) => {}
            Err(error) => return Err(postgres(Op::Publish, error)),
        }
    }
    let relaxed = db.publish_relaxed();
    let values = columns.all_values(&relaxed, told);
    let rows = db.publish(&db.sql.insert_any, &values).await?;
    rows.and_then(|rows| any(columns, &rows))
        .map_err(|e| postgres(Op::Publish, e))
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
pub(crate) fn any(columns: &Columns<'_>, rows: &[Row]) -> Result<Answer, tokio_postgres::Error> {
    let mut stored = Stored::default();
    let mut missing = Vec::new();
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
        missing.extend(row.try_get::<_, Option<String>>(7)?);
    }
    if !missing.is_empty() {
        return Ok(Err(missing));
    }
    let unkeyed = columns.keyed.iter().filter(|keyed| !**keyed).count();
    stored.events = unkeyed + usize::try_from(keys).unwrap_or_default();
    Ok(Ok(stored))
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

    /// What the statement for one event begins with.
    fn first_values(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        vec![
            (&self.channels[0], Type::TEXT),
            (&self.ids[0], Type::UUID),
            (&self.ranks[0], Type::INT4),
            (&self.expires_in[0], Type::INT8),
            (&self.metadata[0], Type::JSON),
            (&self.payloads[0], Type::JSON),
        ]
    }

    /// What the other statements begin with.
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
        told: &'s Queues,
    ) -> Vec<(&'s (dyn ToSql + Sync), Type)> {
        let mut values = self.values();
        values.push((&self.delays, Type::INT8_ARRAY));
        values.push((&self.keyed, Type::BOOL_ARRAY));
        values.push((relaxed, Type::BOOL));
        values.push((&told.channels, Type::TEXT_ARRAY));
        values.push((&told.ids, Type::INT4_ARRAY));
        values
    }
}
