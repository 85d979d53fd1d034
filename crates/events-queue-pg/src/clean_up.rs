//! Deletes what retention has passed, in short transactions.

use std::time::Duration;

use events_core::{ErrorKind, Op, Result};
use events_queue::CleanUp;

use crate::database::Database;
use crate::row::micros;
use crate::turn::bury_expired;

/// Deletes at most `limit` rows of each sort.
///
/// A role that publishes only may not, and need not: whoever consumes does it.
pub(crate) async fn clean_up(db: &Database, limit: usize) -> Result<CleanUp> {
    match run(db, limit).await {
        Err(error) if error.kind() == ErrorKind::Permission => Ok(CleanUp::default()),
        answer => answer,
    }
}

async fn run(db: &Database, limit: usize) -> Result<CleanUp> {
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let expired = bury_expired(db, None, most).await?;
    let mut done = CleanUp {
        expired,
        more: expired >= limit,
        deleted: 0,
    };
    let retention = micros(db.config.retention);
    let purges = [
        (&db.sql.purge_acked, retention),
        (&db.sql.purge_keys, micros(Duration::ZERO)),
        (&db.sql.purge_expired, retention),
    ];
    for (sql, age) in purges {
        let deleted = db.execute(Op::CleanUp, sql, &[&age, &most]).await?;
        let deleted = usize::try_from(deleted).unwrap_or(usize::MAX);
        done.deleted += deleted;
        done.more |= deleted >= limit;
    }
    if db.notify.is_some() {
        db.execute(Op::CleanUp, &db.sql.purge_waiters, &[]).await?;
    }
    Ok(done)
}
