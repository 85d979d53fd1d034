//! What operators ask for: counts and dead letters.

use events_core::{ChannelName, DeadLetter, EventId, GroupStats, Op, Result, Stats};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::database::{Database, Values};
use crate::row::{JsonText, Time, count, foreign_name, group, read, seconds, uuid};

/// So many dead letters are moved or deleted in one transaction.
const PAGE: usize = 1000;

/// Counts what is stored for one channel, or for all.
pub(crate) async fn stats(db: &Database, channel: Option<&ChannelName>) -> Result<Vec<Stats>> {
    let wanted = channel.map(ChannelName::as_str);
    let rows = db.query(Op::Admin, &db.sql.stats, &[&wanted]).await?;
    let counted = read(Op::Admin, &rows, |row| {
        let (channel, name): (String, String) = (row.try_get(6)?, row.try_get(7)?);
        Ok((channel, name, group_stats(row)?))
    })?;
    let mut all: Vec<Stats> = Vec::new();
    for (channel, name, mut stats) in counted {
        stats.group = group(&name)?;
        match all
            .last_mut()
            .filter(|last| last.channel == channel.as_str())
        {
            Some(last) => last.groups.push(stats),
            None => {
                let name = ChannelName::new(channel).map_err(|e| foreign_name(&e))?;
                let mut first = Stats::new(name);
                first.groups.push(stats);
                all.push(first);
            }
        }
    }
    Ok(all)
}

fn group_stats(row: &Row) -> Result<GroupStats, tokio_postgres::Error> {
    let counted = |at| {
        row.try_get::<_, i64>(at)
            .map(|n| u64::try_from(n).unwrap_or_default())
    };
    Ok(GroupStats {
        ready: counted(0)?,
        delayed: counted(1)?,
        leased: counted(2)?,
        dead: counted(3)?,
        acked: counted(4)?,
        oldest_ready_age: row.try_get::<_, Option<f64>>(5)?.map(seconds),
        ..GroupStats::default()
    })
}

/// The newest dead letters of a channel.
pub(crate) async fn dead_letters(
    db: &Database,
    channel: &ChannelName,
    limit: usize,
) -> Result<Vec<DeadLetter>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = db
        .query(
            Op::Admin,
            &db.sql.dead_letters,
            &[&channel.as_str(), &limit],
        )
        .await?;
    let letters = read(Op::Admin, &rows, |row| {
        let id = EventId::from_bytes(row.try_get::<_, Uuid>(0)?.into_bytes());
        let time = |at| row.try_get::<_, Time>(at).map(|time| time.0);
        let mut letter = DeadLetter::new(id, channel.clone(), row.try_get(3)?, time(6)?);
        letter.attempts = count(row.try_get(2)?);
        letter.last_error = row.try_get(4)?;
        letter.created_at = time(5)?;
        let metadata: Option<JsonText> = row.try_get(7)?;
        letter.metadata = metadata.and_then(|text| serde_json::from_str(&text.0).ok());
        let payload = row.try_get::<_, JsonText>(8)?.0;
        letter.payload = serde_json::from_str(&payload).unwrap_or(payload.into());
        Ok((letter, row.try_get::<_, String>(1)?))
    })?;
    let named = |(mut letter, name): (DeadLetter, String)| {
        letter.group = group(&name)?;
        Ok(letter)
    };
    letters.into_iter().map(named).collect()
}

/// Moves dead letters back into their queue, a page in each transaction.
pub(crate) async fn requeue(
    db: &Database,
    channel: &ChannelName,
    ids: Option<&[EventId]>,
) -> Result<u64> {
    let mut dead = Dead::find(db, channel, ids).await?;
    let mut moved = 0;
    while let Some((queues, ids)) = dead.next_page(db).await? {
        let page: Values<'_> = &[&queues, &ids];
        let rows = db.query(Op::Admin, &db.sql.requeue, page).await?;
        let queues: Vec<(i32, i64, i64)> = read(Op::Admin, &rows, |row| {
            Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
        })?;
        for (queue_id, lowest, events) in queues {
            if let Some(frontier) = db.frontiers.known(queue_id.into()) {
                frontier.lock().rewind(None, lowest);
            }
            let events = u64::try_from(events).unwrap_or_default();
            db.wakes.ring_queue(
                queue_id.into(),
                usize::try_from(events).unwrap_or(usize::MAX),
            );
            db.announce(queue_id.into(), Some(lowest));
            moved += events;
        }
    }
    Ok(moved)
}

/// Deletes dead letters for good, a page in each transaction.
pub(crate) async fn purge_dead(
    db: &Database,
    channel: &ChannelName,
    ids: Option<&[EventId]>,
) -> Result<u64> {
    let mut dead = Dead::find(db, channel, ids).await?;
    let mut gone = 0;
    while let Some((queues, ids)) = dead.next_page(db).await? {
        let page: Values<'_> = &[&queues, &ids];
        gone += db.execute(Op::Admin, &db.sql.purge_dead, page).await?;
    }
    Ok(gone)
}

/// Dead letters of a channel that are there now, page by page; what dies meanwhile is not of them.
enum Dead<'a> {
    Named(&'a ChannelName, std::slice::Chunks<'a, EventId>),
    /// Queues with the ids of the rows behind which they go on, and with which they end.
    All(Vec<(i32, i64, i64)>),
}

impl<'a> Dead<'a> {
    async fn find(
        db: &Database,
        channel: &'a ChannelName,
        ids: Option<&'a [EventId]>,
    ) -> Result<Self> {
        if let Some(ids) = ids {
            return Ok(Self::Named(channel, ids.chunks(PAGE)));
        }
        let rows = db
            .query(Op::Admin, &db.sql.dead_queues, &[&channel.as_str()])
            .await?;
        let queues = read(Op::Admin, &rows, |row| {
            Ok((row.try_get(0)?, i64::MIN, row.try_get(1)?))
        })?;
        Ok(Self::All(queues))
    }

    /// The queue and the id of each row; `None` at the end.
    async fn next_page(&mut self, db: &Database) -> Result<Option<(Vec<i32>, Vec<i64>)>> {
        match self {
            Self::Named(channel, chunks) => {
                let Some(chunk) = chunks.next() else {
                    return Ok(None);
                };
                let events: Vec<Uuid> = chunk.iter().map(uuid).collect();
                let values: Values<'_> = &[&channel.as_str(), &events];
                page(db, &db.sql.dead_named, values).await.map(Some)
            }
            Self::All(queues) => {
                while let Some((queue_id, after, upto)) = queues.last_mut() {
                    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
                    let values: Values<'_> = &[&*queue_id, &*after, &*upto, &limit];
                    let (queue_ids, ids) = page(db, &db.sql.dead_page, values).await?;
                    if let Some(last) = ids.last() {
                        *after = *last;
                        return Ok(Some((queue_ids, ids)));
                    }
                    queues.pop();
                }
                Ok(None)
            }
        }
    }
}

async fn page(db: &Database, sql: &str, values: Values<'_>) -> Result<(Vec<i32>, Vec<i64>)> {
    let rows = db.query(Op::Admin, sql, values).await?;
    let page = read(Op::Admin, &rows, |row| {
        Ok((row.try_get::<_, i32>(0)?, row.try_get::<_, i64>(1)?))
    })?;
    Ok(page.into_iter().unzip())
}
