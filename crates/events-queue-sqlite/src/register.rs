//! Registration of consumer groups.

use events_core::{ChannelName, GroupName, Op, Result};
use events_queue::Registration;
use rusqlite::params;

use crate::database::Session;
use crate::error::sqlite;
use crate::row::DEFAULT_GROUP;

/// Registers a group if it is not registered yet.
pub(crate) fn register(
    db: Session<'_>,
    channel: &ChannelName,
    group: Option<&GroupName>,
) -> Result<Registration> {
    let failed = |e| sqlite(Op::Subscribe, e);
    let group = group.map_or(DEFAULT_GROUP, GroupName::as_str);
    let created = db
        .statement(&db.sql.register)?
        .execute(params![channel.as_str(), group, db.clock.micros()])
        .map_err(failed)?;
    let queue_id = db
        .statement(&db.sql.find_queue)?
        .query_row([channel.as_str(), group], |row| row.get(0))
        .map_err(failed)?;
    Ok(Registration {
        queue_id,
        created: created == 1,
    })
}
