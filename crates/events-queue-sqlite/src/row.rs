//! Rows and times as SQLite stores them, in the library's types.

use events_core::{ErrorKind, EventId, HoldToken, Op, Result, Timestamp};
use events_queue::Row;

use crate::error::{BACKEND, sqlite};

/// The group name that stands for the default group; no checked name can be it.
pub(crate) const DEFAULT_GROUP: &str = "-";

/// A claimed row; columns as the claim statements return them.
pub(crate) fn claimed(
    row: &rusqlite::Row<'_>,
    queue_id: i64,
    lease_until: i64,
) -> rusqlite::Result<Row> {
    Ok(Row {
        token: HoldToken {
            queue_id,
            row: row.get(0)?,
            priority: priority(row.get(2)?),
            attempts: attempts(row.get(3)?),
            fence: row.get(4)?,
            keyed: row.get(5)?,
        },
        event_id: EventId::from_bytes(row.get(1)?),
        available_at: timestamp(row.get(6)?),
        created_at: timestamp(row.get(7)?),
        expires_at: row.get::<_, Option<i64>>(8)?.map(timestamp),
        metadata: optional_text(row, 9)?,
        payload: text(row, 10)?,
        lease_expires_at: timestamp(lease_until),
    })
}

/// A stored text. Bytes of a foreign writer that are no UTF-8 become text that is no JSON, so that
/// the event becomes a dead letter and holds up nobody.
pub(crate) fn text(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<String> {
    let bytes = row.get_ref(column)?.as_bytes()?;
    Ok(String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| "bytes that are not UTF-8".to_owned()))
}

/// As [`text`], where there may be none.
pub(crate) fn optional_text(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<String>> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => text(row, column).map(Some),
    }
}

/// A stored time; nonsense of a foreign writer is brought into the range that can be shown.
pub(crate) fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// A stored priority; one of a foreign writer that is beyond the range counts as its end.
fn priority(stored: i64) -> i16 {
    i16::try_from(stored).unwrap_or(if stored < 0 { i16::MIN } else { i16::MAX })
}

/// A stored number of attempts, with the same care.
pub(crate) fn attempts(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(if stored < 0 { 0 } else { u32::MAX })
}

/// A time span in the unit that is stored.
pub(crate) fn micros(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// A number that was counted, and so is never negative.
pub(crate) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

/// Any number of rows of one query.
pub(crate) fn collect<T>(
    rows: rusqlite::Result<impl Iterator<Item = rusqlite::Result<T>>>,
) -> Result<Vec<T>> {
    rows.and_then(Iterator::collect)
        .map_err(|e| sqlite(Op::Admin, e))
}

/// A name that stands in the table and breaks the rules.
pub(crate) fn foreign_name(error: &events_core::Error) -> events_core::Error {
    events_core::Error::new(ErrorKind::Codec, Op::Admin)
        .because(format!(
            "another program registered a name that is no channel or group: {}",
            error.detail().unwrap_or_default()
        ))
        .in_backend(BACKEND)
}
