//! Registration of consumer groups.

use events_core::{ChannelName, GroupName, Result};
use events_oracle_session::{Class, Columns as _, Value, class_of};
use events_queue::Registration;

use crate::database::Turn;
use crate::row::DEFAULT_GROUP;

/// Registers a group if it is not registered yet.
pub(crate) fn register(
    turn: &mut Turn<'_>,
    channel: &ChannelName,
    group: Option<&GroupName>,
) -> Result<Registration> {
    let binds = [
        ("channel", Value::from(channel.as_str())),
        (
            "consumer_group",
            Value::from(group.map_or(DEFAULT_GROUP, GroupName::as_str)),
        ),
    ];
    let db = turn.db;
    let find = |turn: &Turn<'_>| {
        let found = turn.query(&db.sql.find_queue, &binds, |row| row.integer(0))?;
        Ok::<_, events_core::Error>(found.first().copied())
    };
    if let Some(queue_id) = find(turn)? {
        return Ok(Registration {
            queue_id,
            created: false,
        });
    }
    let created = match turn.try_execute(&db.sql.register, &binds) {
        Ok(_) => true,
        // Another session was faster.
        Err(error) if class_of(&error).0 == Class::Conflict => false,
        Err(error) => return Err(turn.failed(error)),
    };
    let queue_id = find(turn)?.expect("a row that was inserted or was there is found");
    Ok(Registration { queue_id, created })
}
