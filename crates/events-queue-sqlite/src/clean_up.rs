//! Deletes what retention has passed, in one short transaction.

use events_core::{Op, Result};
use events_queue::{CleanUp, DeadReason};
use rusqlite::params;

use crate::bury::bury;
use crate::claim::ids;
use crate::database::Database;
use crate::error::sqlite;
use crate::row::micros;

/// Deletes at most `limit` rows of each sort.
pub(crate) fn clean_up(db: &Database, limit: usize) -> Result<CleanUp> {
    let now = db.clock.micros();
    let cut = now.saturating_sub(micros(db.config.retention));
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let expired = ids(db, &db.sql.expired_anywhere, params![now, most])?;
    for id in &expired {
        bury(db, *id, DeadReason::Expired, None, now)?;
    }
    let mut done = CleanUp {
        expired: expired.len(),
        more: expired.len() == limit,
        deleted: 0,
    };
    let purges = [
        (&db.sql.purge_acked, cut),
        (&db.sql.purge_keys, now),
        (&db.sql.purge_expired, cut),
    ];
    for (sql, before) in purges {
        let deleted = db
            .statement(sql)?
            .execute([before, most])
            .map_err(|e| sqlite(Op::CleanUp, e))?;
        done.deleted += deleted;
        done.more |= deleted == limit;
    }
    Ok(done)
}
