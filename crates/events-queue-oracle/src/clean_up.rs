//! Deletes what retention has passed, in one short transaction.

use events_core::Result;
use events_oracle_session::{Columns as _, Value};
use events_queue::{CleanUp, DeadReason};

use crate::bury::{bury, still};
use crate::database::Turn;
use crate::row::seconds;

/// Deletes at most `limit` rows of each sort.
pub(crate) fn clean_up(turn: &mut Turn<'_>, limit: usize) -> Result<CleanUp> {
    let db = turn.db;
    let expired = turn.lock(&db.sql.expired_anywhere, &[], limit, |row| row.integer(0))?;
    let more = expired.len() == limit;
    let by_id = |id: i64| vec![("id", Value::from(id))];
    let expired = still(turn, &db.sql.hold_expired, expired, by_id)?;
    bury(turn, &expired, DeadReason::Expired, None)?;
    let mut done = CleanUp {
        expired: expired.len(),
        more,
        deleted: 0,
    };
    let past = [("retention", seconds(db.config.retention))];

    let acked = turn.lock(&db.sql.purge_acked, &past, limit, |row| row.integer(0))?;
    let acked: Vec<_> = acked.into_iter().map(by_id).collect();
    turn.each(&db.sql.remove_acked, &acked)?;

    let keys = turn.lock(&db.sql.purge_keys, &[], limit, |row| row.bytes(0))?;
    let keys: Vec<_> = keys
        .into_iter()
        .map(|key| vec![("event_id", Value::Bytes(key))])
        .collect();
    turn.each(&db.sql.key_forget, &keys)?;

    let dead = turn.lock(&db.sql.purge_expired, &past, limit, |row| row.integer(0))?;
    let dead: Vec<_> = dead.into_iter().map(by_id).collect();
    turn.each(&db.sql.dead_remove, &dead)?;

    for deleted in [acked.len(), keys.len(), dead.len()] {
        done.deleted += deleted;
        done.more |= deleted == limit;
    }
    Ok(done)
}
