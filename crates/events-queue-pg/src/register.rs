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
const ASK_AGAIN: Duration = Duration::from_millis(50);

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
    loop {
        match try_register(db, channel, group).await {
            Err(error) if error.kind() == ErrorKind::Busy => {
                let again = tokio::time::Instant::now() + ASK_AGAIN;
                if again > until {
                    return Err(error);
                }
                tokio::time::sleep_until(again).await;
            }
            answer => return answer,
        }
    }
}

async fn try_register(
    db: &Database,
    channel: &ChannelName,
    group: Option<&GroupName>,
) -> Result<Registration> {
    let group = group.map_or(DEFAULT_GROUP, GroupName::as_str);
    let values: Values<'_> = &[&channel.as_str(), &group];
    let known = db.query(Op::Subscribe, &db.sql.known, values).await?;
    if let [known] = &known[..] {
        return registration(known, |_| Ok(false));
    }
    let register = (&*db.sql.register, values);
    let patience = [NO_PATIENCE, AS_LONG_AS_IT_TAKES];
    let rows = locked(db, Op::Subscribe, channel.as_str(), patience, register).await?;
    match &rows[..] {
        [row, ..] => registration(row, |row| row.try_get(1)),
        // Only a program without the lock can do that.
        [] => Err(held(Op::Subscribe, channel.as_str())),
    }
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
    for id in read(Op::Publish, &rows, |row| row.try_get(0))? {
        told.channels.push(channel.to_owned());
        told.ids.push(id);
    }
    Ok(())
}

/// Runs a statement while nobody else registers a group of this channel, with patience for those
/// who do and for others.
async fn locked(
    db: &Database,
    op: Op,
    channel: &str,
    [patience, then]: [&str; 2],
    (sql, values): (&str, Values<'_>),
) -> Result<Vec<Row>> {
    let statements = [
        (
            &*db.sql.register_lock,
            vec![&channel as _, &patience as _, &then as _],
        ),
        (sql, values.to_vec()),
    ];
    match db.try_query_all(op, &statements).await? {
        Ok(mut answers) => Ok(answers.pop().unwrap_or_default()),
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Err(held(op, channel)),
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
