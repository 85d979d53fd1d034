//! The view of a queue table, `AQ$<queue table>`: a query of it is run by SQLite on columns of the
//! same names, so that its conditions are really evaluated.

use rusqlite::types::{Value as Stored, ValueRef};

use super::block::refused;
use super::store::{self, Store};
use crate::OraError;
use crate::engine::Outcome;
use crate::value::{Binds, Column, Kind, Value};

impl Store {
    /// Runs a query of the view of one queue table.
    pub(super) fn look(&self, text: &str, binds: &Binds) -> Result<Outcome, OraError> {
        let start = text.find("\"AQ$").ok_or_else(|| refused(text))?;
        let table = text[start + 4..].split('"').next().unwrap_or_default();
        let (payload, multiple): (String, bool) = self
            .db()
            .query_row(
                "SELECT payload_type, multiple FROM queue_tables WHERE name = ?1",
                [table],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .map_err(|_| OraError::new(942, "table or view does not exist"))?;
        let named = format!("\"AQ${table}\"");
        // A server of the stand-in has one schema.
        let from = text[..start].strip_suffix('.').map_or(start, |before| {
            before.trim_end_matches('"').rfind('"').unwrap_or(start)
        });
        let rewritten = format!(
            "{}{}{}",
            &text[..from],
            view(table, multiple),
            &text[start + named.len()..]
        )
        .replace(
            "JSON_SERIALIZE(m.user_data RETURNING CLOB)",
            "CAST(m.user_data AS TEXT)",
        );
        let mut prepared = self
            .db()
            .prepare(&rewritten)
            .map_err(|error| OraError::new(904, format_args!("invalid identifier: {error}")))?;
        for index in 1..=prepared.parameter_count() {
            let name = prepared.parameter_name(index).unwrap_or(":")[1..].to_owned();
            let text = binds.get(&name)?.text()?.map(str::to_owned);
            prepared.raw_bind_parameter(index, text.map_or(Stored::Null, Stored::Text))?;
        }
        let kind = |name: &str| match name {
            "msg_id" => Kind::Raw(16),
            "queue" | "corr_id" | "msg_state" | "consumer_name" => Kind::Varchar(128),
            "body" if payload == "JSON" => Kind::Clob,
            "body" => Kind::Blob,
            _ => Kind::Number,
        };
        let columns: Vec<Column> = prepared
            .column_names()
            .map(|name| Column::new(name.to_ascii_uppercase(), kind(name)))
            .collect();
        let mut rows = prepared.raw_query();
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let values = columns.iter().enumerate().map(|(at, column)| {
                Ok::<_, OraError>(match (row.get_ref(at)?, column.kind) {
                    (ValueRef::Integer(number), _) => Value::Integer(number),
                    (ValueRef::Blob(bytes) | ValueRef::Text(bytes), Kind::Raw(_) | Kind::Blob) => {
                        Value::Bytes(bytes.to_vec())
                    }
                    (ValueRef::Blob(bytes) | ValueRef::Text(bytes), _) => {
                        Value::Text(String::from_utf8_lossy(bytes).into_owned())
                    }
                    _ => Value::Null,
                })
            });
            all.push(values.collect::<Result<_, _>>()?);
        }
        Ok(Outcome::rows(columns, all))
    }
}

/// The view as a subquery. What a transaction has not committed is not seen: a message that another
/// session took out is still there, one that it put in is not. Only a queue table for multiple
/// consumers says whose a message is, in a row for each.
fn view(table: &str, multiple: bool) -> String {
    let consumer = if multiple {
        "consumer AS consumer_name,"
    } else {
        ""
    };
    format!(
        "(SELECT {consumer} msgid AS msg_id, corrid AS corr_id, priority AS msg_priority,
                 attempts AS retry_count, payload AS user_data, enq_time,
                 iif(expired, 'AQ$_{table}_E', queue) AS queue,
                 CASE WHEN expired THEN 'EXPIRED' WHEN ready_at > {now} THEN 'WAIT' ELSE 'READY' END
                     AS msg_state
            FROM messages
           WHERE enqueued_by IS NULL AND queue IN (SELECT name FROM queues WHERE queue_table = '{table}'))",
        now = store::now()
    )
}
