//! What a database has of one queue table.

use events_core::{Error, ErrorKind, Op, Result, TableName, Timestamp};
use events_migrations::{Applied, Expected, Found, LEDGER};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{DIALECT, failed};

/// What is added to the name of the queue table, and the columns, as of the newest migration.
const TABLES: [Expected; 4] = [
    (
        "",
        "id queue_id event_id status priority attempts lease_token keyed requeues \
         available_at lease_expires_at expires_at acked_at created_at last_error \
         metadata payload",
    ),
    (
        "_queue",
        "queue_id channel consumer_group paused created_at",
    ),
    (
        "_dead",
        "id queue_id event_id priority attempts lease_token keyed requeues reason \
         died_at created_at last_error metadata payload",
    ),
    ("_key", "event_id pending expires_at"),
];

/// Looks in one snapshot, so that a migration that commits meanwhile is seen whole or not at all.
pub(super) fn read(conn: &Connection, table: &TableName) -> Result<Found> {
    if !conn.is_autocommit() {
        return find(conn, table);
    }
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Deferred).map_err(failed)?;
    find(&tx, table)
}

/// Looks at the ledger and at the tables. The ledger comes first: reading the catalogue is what
/// makes SQLite notice that its cached schema is out of date.
pub(super) fn find(conn: &Connection, table: &TableName) -> Result<Found> {
    let has_ledger: bool = conn
        .query_row(include_str!("../sql/ledger_exists.sql"), [], |row| {
            row.get(0)
        })
        .map_err(failed)?;
    let applied = has_ledger.then(|| ledger(conn, table)).transpose()?;
    Found::new(DIALECT, table, &TABLES, applied, |suffix| {
        columns(conn, &format!("{}{suffix}", table.base()))
    })
}

fn ledger(conn: &Connection, table: &TableName) -> Result<Vec<Applied>> {
    let mut statement = conn
        .prepare(include_str!("../sql/ledger_list.sql"))
        .map_err(failed)?;
    let rows = statement
        .query_map([table.base()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .map_err(failed)?;
    rows.map(|row| {
        let (id, checksum, micros) = row.map_err(failed)?;
        let applied_at = Timestamp::from_microsecond(micros).map_err(|error| {
            Error::new(ErrorKind::Codec, Op::Migrate)
                .because(format!(
                    "table {LEDGER}, queue table {table}: applied_at is no time"
                ))
                .caused_by(error)
        })?;
        Ok(Applied {
            id,
            checksum,
            applied_at,
        })
    })
    .collect()
}

/// The columns of a table or view; none when there is no such.
fn columns(conn: &Connection, name: &str) -> Result<Vec<String>> {
    let mut columns = Vec::new();
    conn.pragma(Some("main"), "table_info", name, |row| {
        columns.push(row.get::<_, String>("name")?.to_ascii_lowercase());
        Ok(())
    })
    .map_err(failed)?;
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_those_of_the_migrations() {
        let conn = Connection::open_in_memory().unwrap();
        let table = TableName::default();
        for migration in events_migrations::all(DIALECT) {
            conn.execute_batch(migration.up).unwrap();
        }
        for (suffix, expected) in TABLES {
            assert_eq!(
                columns(&conn, &format!("{table}{suffix}"))
                    .unwrap()
                    .join(" "),
                expected
            );
        }
        let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table'";
        let count: i64 = conn.query_row(tables, [], |row| row.get(0)).unwrap();
        assert_eq!(usize::try_from(count), Ok(TABLES.len()));
    }
}
