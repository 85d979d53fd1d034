//! What a queue on PostgreSQL holds when nobody is at work, for a history.

use serde_json::Value;

use super::client::query;
use crate::history::{Row, State, hash};

const ROWS: &str = "
    SELECT event_id, channel, consumer_group, state, attempts, payload FROM (
        SELECT queue_id, event_id, attempts, payload::text,
               CASE WHEN state = 1 THEN 'leased' ELSE 'ready' END AS state FROM sqlspec_event_queue
         UNION ALL
        SELECT queue_id, event_id, attempts, payload::text, 'delayed' FROM sqlspec_event_queue_delayed
         UNION ALL
        SELECT queue_id, event_id, attempts, payload::text, 'acked' FROM sqlspec_event_queue_done
         UNION ALL
        SELECT queue_id, event_id, attempts, payload::text, reason FROM sqlspec_event_queue_dead) AS rest
      JOIN sqlspec_event_queue_queue USING (queue_id)";

/// The rows of the default tables.
///
/// # Panics
/// When they cannot be read.
#[must_use]
pub fn rows_at_rest(url: &str) -> Vec<Row> {
    query(url, ROWS)
        .iter()
        .map(|columns| row(columns))
        .collect()
}

fn row(columns: &[Option<String>]) -> Row {
    let text = |at: usize| columns[at].as_deref().unwrap_or_default();
    let payload: Value = text(5).parse().expect("a payload is JSON");
    Row {
        event: text(0).parse().expect("an id is a UUID"),
        channel: text(1).to_owned(),
        group: (text(2) != "-").then(|| text(2).to_owned()),
        state: match text(3) {
            "ready" => State::Ready,
            "leased" => State::Leased,
            "delayed" => State::Delayed,
            "acked" => State::Acked,
            "max_attempts" => State::Exhausted,
            "expired" => State::Expired,
            "rejected" | "undecodable" => State::Rejected,
            other => panic!("no such state: {other:?}"),
        },
        attempts: text(4).parse().expect("a count"),
        // It is a time, and counts nothing.
        fence: None,
        payload: hash(&payload),
    }
}
