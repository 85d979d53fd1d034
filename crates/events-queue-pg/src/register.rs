//! Registration of consumer groups: one at a time for each channel.

use std::time::Duration;

use events_core::{ChannelName, Error, ErrorKind, GroupName, Op, Result};
use events_queue::Registration;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use crate::database::{Database, Values};
use crate::error::{BACKEND, postgres};
use crate::row::{DEFAULT_GROUP, read};

/// So long a publish waits for a transaction that registers its channel, in milliseconds: other
/// publishes wait behind it.
const PATIENCE: &str = "200";
/// A subscription asks again instead, so that it keeps no connection while it waits.
const NO_PATIENCE: &str = "1";
const AS_LONG_AS_IT_TAKES: &str = "0";
/// Each refusal is a line in the server's log: the pauses double up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Queues that were registered just now.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    pub(crate) channels: Vec<String>,
    pub(crate) ids: Vec<i32>,
}

/// Registers a group if it is not registered yet.
///
/// # Errors
/// `Busy` if another transaction registers the channel for as long as an operation may take.
pub(crate) async fn register(
    db: &Database,
    channel: &ChannelName,
    group: Option<&GroupName>,
) -> Result<Registration> {
    let until = db.limit().until;
    let mut pause = SHORTEST_PAUSE;
    loop {
        if let Some(registration) = try_register(db, channel, group).await? {
            return Ok(registration);
        }
        let again = tokio::time::Instant::now() + pause;
        if again > until {
            return Err(held(Op::Subscribe, channel.as_str()));
        }
        tokio::time::sleep_until(again).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Registers a group, unless somebody else is registering one of this channel.
async fn try_register(
    db: &Database,
    channel: &ChannelName,
    group: Option<&GroupName>,
) -> Result<Option<Registration>> {
    let group = group.map_or(DEFAULT_GROUP, GroupName::as_str);
    let values: Values<'_> = &[&channel.as_str(), &group];
    let known = db.query(Op::Subscribe, &db.sql.known, values).await?;
    if let [known] = &known[..] {
        return registration(known, |_| Ok(false)).map(Some);
    }
    let register = (&*db.sql.register, values);
    let patience = [NO_PATIENCE, AS_LONG_AS_IT_TAKES];
    let Some(rows) = locked(db, Op::Subscribe, channel.as_str(), patience, register).await? else {
        return Ok(None);
    };
    // Only a program without the lock can register it meanwhile.
    let row = rows.first();
    row.map(|row| registration(row, |row| row.try_get(1)))
        .transpose()
}

fn registration(
    row: &Row,
    created: impl Fn(&Row) -> Result<bool, tokio_postgres::Error>,
) -> Result<Registration> {
    let read = || {
        Ok::<_, tokio_postgres::Error>(Registration {
            queue_id: row.try_get::<_, i32>(0)?.into(),
            created: created(row)?,
        })
    };
    read().map_err(|e| postgres(Op::Subscribe, e))
}

/// Registers the default group of a channel that has none, in a transaction of its own, so that it
/// is there for everybody before anything is published; adds the channel's queues to `told`.
///
/// # Errors
/// `Busy` while another transaction registers it.
pub(crate) async fn register_default(
    db: &Database,
    channel: &str,
    told: &mut Queues,
) -> Result<()> {
    let values: Values<'_> = &[&channel];
    let register = (&*db.sql.register_default, values);
    let rows = locked(db, Op::Publish, channel, [PATIENCE; 2], register).await?;
    let rows = rows.ok_or_else(|| held(Op::Publish, channel))?;
    for id in read(Op::Publish, &rows, |row| row.try_get(0))? {
        told.channels.push(channel.to_owned());
        told.ids.push(id);
    }
    Ok(())
}

/// Runs a statement while nobody else registers a group of this channel, with patience for those
/// who do and for others; `None` if it was not enough.
async fn locked(
    db: &Database,
    op: Op,
    channel: &str,
    [patience, then]: [&str; 2],
    (sql, values): (&str, Values<'_>),
) -> Result<Option<Vec<Row>>> {
    let statements = [
        (
            &*db.sql.register_lock,
            vec![&channel as _, &patience as _, &then as _],
        ),
        (sql, values.to_vec()),
    ];
    match db.try_query_all(op, &statements).await? {
        Ok(mut answers) => Ok(Some(answers.pop().unwrap_or_default())),
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(None),
        Err(error) => Err(postgres(op, error)),
    }
}

fn held(op: Op, channel: &str) -> Error {
    Error::new(ErrorKind::Busy, op)
        .because(format!(
            "channel {channel}: another transaction is registering it and has not ended; try again"
        ))
        .in_backend(BACKEND)
}
