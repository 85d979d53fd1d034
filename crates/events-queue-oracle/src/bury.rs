//! Dead letters: how an event becomes one, and what that means for its key.

use events_core::Result;
use events_oracle_session::Value;
use events_queue::DeadReason;

use crate::database::Turn;
use crate::row::{last_error, seconds};

/// Moves events to the dead letters; this session has changed their rows, and so has their locks.
pub(crate) fn bury(
    turn: &mut Turn<'_>,
    ids: &[i64],
    reason: DeadReason,
    error: Option<&str>,
) -> Result<()> {
    let graves: Vec<_> = ids.iter().map(|id| (*id, reason, error)).collect();
    bury_each(turn, &graves)
}

/// Of rows that were looked at, those that still are what they were: a statement that changes each
/// by its id and repeats the condition says which.
pub(crate) fn still(
    turn: &mut Turn<'_>,
    sql: &str,
    rows: Vec<i64>,
    binds: impl Fn(i64) -> Vec<(&'static str, Value)>,
) -> Result<Vec<i64>> {
    let changes: Vec<_> = rows.iter().map(|id| binds(*id)).collect();
    let changed = turn.each(sql, &changes)?;
    let ours = rows.into_iter().zip(changed);
    Ok(ours
        .filter(|(_, rows)| *rows == 1)
        .map(|(id, _)| id)
        .collect())
}

/// The same with a reason and an error for each.
pub(crate) fn bury_each(
    turn: &mut Turn<'_>,
    graves: &[(i64, DeadReason, Option<&str>)],
) -> Result<()> {
    let db = turn.db;
    let copies: Vec<_> = graves
        .iter()
        .map(|(id, reason, error)| {
            vec![
                ("reason", Value::from(reason.as_str())),
                ("last_error", last_error(*error)),
                ("id", Value::from(*id)),
            ]
        })
        .collect();
    turn.each(&db.sql.bury, &copies)?;
    let keys: Vec<_> = graves
        .iter()
        .map(|(id, ..)| vec![("keep", seconds(db.keep_keys())), ("id", Value::from(*id))])
        .collect();
    turn.each(&db.sql.key_buried, &keys)?;
    let rows: Vec<_> = graves
        .iter()
        .map(|(id, ..)| vec![("id", Value::from(*id))])
        .collect();
    turn.each(&db.sql.remove_buried, &rows).map(drop)
}
