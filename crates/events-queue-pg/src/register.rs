//! Registration of consumer groups.

use events_core::{ChannelName, GroupName, Op, Result};
use events_queue::Registration;

use crate::database::Database;
use crate::error::postgres;
use crate::row::DEFAULT_GROUP;

/// Registers a group if it is not registered yet.
pub(crate) async fn register(
    db: &Database,
    channel: &ChannelName,
    group: Option<&GroupName>,
) -> Result<Registration> {
    let group = group.map_or(DEFAULT_GROUP, GroupName::as_str);
    let rows = db
        .query(
            Op::Subscribe,
            &db.sql.register,
            &[&channel.as_str(), &group],
        )
        .await?;
    let row = rows.first().expect("an upsert returns its row");
    let read = || {
        Ok::<_, tokio_postgres::Error>(Registration {
            queue_id: row.try_get::<_, i32>(0)?.into(),
            created: row.try_get(1)?,
        })
    };
    read().map_err(|e| postgres(Op::Subscribe, e))
}
