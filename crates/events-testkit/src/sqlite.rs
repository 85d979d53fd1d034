//! What a queue on SQLite holds when nobody is at work, for a history.

use std::path::Path;

use event_channels::EventId;
use rusqlite::Connection;
use serde_json::Value;

use crate::history::{Row, State, hash};

/// The rows of the default table.
///
/// # Panics
/// When the file cannot be read, or SQLite finds something wrong with it.
#[must_use]
pub fn rows_at_rest(file: &Path) -> Vec<Row> {
    let database = Connection::open(file).expect("the file can be opened");
    let sound: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("the file can be checked");
    assert_eq!(sound, "ok", "{}", file.display());
    let mut rows = Vec::new();
    for sql in [
        "SELECT event_id, channel, consumer_group, status, attempts, lease_token, payload
           FROM sqlspec_event_queue JOIN sqlspec_event_queue_queue USING (queue_id)",
        "SELECT event_id, channel, consumer_group, reason, attempts, lease_token, payload
           FROM sqlspec_event_queue_dead JOIN sqlspec_event_queue_queue USING (queue_id)",
    ] {
        let mut statement = database.prepare(sql).expect("the tables are there");
        let found = statement
            .query_map([], row)
            .expect("the tables can be read");
        rows.extend(found.map(|row| row.expect("a row can be read")));
    }
    rows
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let group: String = row.get(2)?;
    let payload: String = row.get(6)?;
    Ok(Row {
        event: EventId::from_bytes(row.get(0)?),
        channel: row.get(1)?,
        group: (group != "-").then_some(group),
        state: state(&row.get::<_, rusqlite::types::Value>(3)?),
        attempts: row.get(4)?,
        fence: Some(row.get(5)?),
        payload: hash(&serde_json::from_str(&payload).unwrap_or(Value::String(payload))),
    })
}

/// The state that a status or a reason stands for.
fn state(stored: &rusqlite::types::Value) -> State {
    use rusqlite::types::Value;
    match stored {
        Value::Integer(10 | 12) => State::Ready,
        Value::Integer(11) => State::Delayed,
        Value::Integer(13) => State::Leased,
        Value::Integer(14) => State::Acked,
        Value::Text(reason) if reason == "max_attempts" => State::Exhausted,
        Value::Text(reason) if reason == "expired" => State::Expired,
        Value::Text(reason) if reason == "rejected" || reason == "undecodable" => State::Rejected,
        other => panic!("no such state: {other:?}"),
    }
}
