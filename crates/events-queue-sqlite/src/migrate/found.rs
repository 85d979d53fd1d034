//! What a database has of one queue table, and what a migration of it would do.

use events_core::{Error, ErrorKind, Op, Result, TableName, Timestamp};
use events_migrations::{Applied, Direction, LEDGER, Step};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{DIALECT, failed};

/// What is added to the name of the queue table, and the columns, as of the newest migration.
const TABLES: [(&str, &[&str]); 4] = [
    (
        "",
        &[
            "id",
            "queue_id",
            "event_id",
            "status",
            "priority",
            "attempts",
            "lease_token",
            "keyed",
            "requeues",
            "available_at",
            "lease_expires_at",
            "expires_at",
            "acked_at",
            "created_at",
            "last_error",
            "metadata",
            "payload",
        ],
    ),
    (
        "_queue",
        &[
            "queue_id",
            "channel",
            "consumer_group",
            "paused",
            "created_at",
        ],
    ),
    (
        "_dead",
        &[
            "id",
            "queue_id",
            "event_id",
            "priority",
            "attempts",
            "lease_token",
            "keyed",
            "requeues",
            "reason",
            "died_at",
            "created_at",
            "last_error",
            "metadata",
            "payload",
        ],
    ),
    ("_key", &["event_id", "pending", "expires_at"]),
];

/// What a database has of one queue table.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) has_ledger: bool,
    /// What the ledger says, without what is stale.
    pub(super) applied: Vec<Applied>,
    /// Whether the ledger knows tables that do not exist.
    stale: bool,
    tables: Tables,
}

/// The tables themselves, by their columns.
#[derive(Debug, PartialEq, Eq)]
enum Tables {
    Absent,
    Right,
    /// Some are right and these are absent.
    Partial(Vec<String>),
    /// This one lacks columns.
    Foreign(String, Vec<&'static str>),
}

/// What a migration will do.
#[derive(Debug)]
pub(super) struct Plan {
    /// Remove the rows of the ledger.
    pub(super) forget: bool,
    /// Record the steps without running them.
    pub(super) adopt: bool,
    pub(super) steps: Vec<Step>,
}

impl Found {
    /// Looks in one snapshot, so that a migration that commits meanwhile is seen whole or not at all.
    pub(super) fn read(conn: &Connection, table: &TableName) -> Result<Self> {
        if !conn.is_autocommit() {
            return Self::find(conn, table);
        }
        let tx = Transaction::new_unchecked(conn, TransactionBehavior::Deferred).map_err(failed)?;
        Self::find(&tx, table)
    }

    /// Looks at the ledger and at the tables. The ledger comes first: reading the catalogue is what
    /// makes SQLite notice that its cached schema is out of date.
    pub(super) fn find(conn: &Connection, table: &TableName) -> Result<Self> {
        let has_ledger = conn
            .query_row(include_str!("../sql/ledger_exists.sql"), [], |row| {
                row.get(0)
            })
            .map_err(failed)?;
        let mut applied = if has_ledger {
            ledger(conn, table)?
        } else {
            Vec::new()
        };
        let tables = tables(conn, table)?;
        let rows = applied.len();
        if tables == Tables::Absent {
            // Ids of a newer version stay: it may have moved its events to tables of other names.
            applied.retain(|row| {
                !events_migrations::all(DIALECT)
                    .iter()
                    .any(|known| known.id == row.id)
            });
        }
        Ok(Self {
            has_ledger,
            stale: applied.len() < rows,
            applied,
            tables,
        })
    }

    pub(super) fn is_hand_made(&self) -> bool {
        self.tables == Tables::Right && self.applied.is_empty()
    }

    pub(super) fn plan(&self, table: &TableName, direction: Direction) -> Result<Plan> {
        match direction {
            Direction::Up => {
                let steps = events_migrations::plan_up(DIALECT, table, &self.applied)?;
                self.refuse_foreign()?;
                self.refuse_partial(table)?;
                Ok(Plan {
                    forget: self.stale,
                    adopt: self.is_hand_made(),
                    steps,
                })
            }
            Direction::Down => {
                let steps = events_migrations::plan_down(DIALECT, table, &self.applied)?;
                if !steps.is_empty() {
                    self.refuse_foreign()?;
                }
                Ok(Plan {
                    forget: self.stale || !steps.is_empty(),
                    adopt: false,
                    steps,
                })
            }
        }
    }

    fn refuse_foreign(&self) -> Result<()> {
        let Tables::Foreign(name, columns) = &self.tables else {
            return Ok(());
        };
        Err(
            Error::new(ErrorKind::InvalidConfig, Op::Migrate).because(format!(
                "table {name} exists and is not ours, it has no {}: choose another queue_table",
                columns.join(", ")
            )),
        )
    }

    fn refuse_partial(&self, table: &TableName) -> Result<()> {
        let Tables::Partial(absent) = &self.tables else {
            return Ok(());
        };
        let way_out = if self.applied.is_empty() {
            "make the rest from the same SQL, or choose another queue_table".to_owned()
        } else {
            format!(
                "restore the database, or give up its events with \
                 `events migrate down --table {table}` and migrate up again"
            )
        };
        Err(
            Error::new(ErrorKind::SchemaMissing, Op::Migrate).because(format!(
                "queue table {table} is there in part, without {}: {way_out}",
                absent.join(", ")
            )),
        )
    }
}

impl Plan {
    pub(super) fn is_nothing(&self) -> bool {
        self.steps.is_empty() && !self.forget
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.steps.iter().map(|step| step.id.to_owned()).collect()
    }
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

fn tables(conn: &Connection, table: &TableName) -> Result<Tables> {
    let mut absent = Vec::new();
    for (suffix, expected) in TABLES {
        let name = format!("{}{suffix}", table.base());
        let columns = columns(conn, &name)?;
        let has = |column: &str| {
            columns
                .iter()
                .any(|found| found.eq_ignore_ascii_case(column))
        };
        let missing: Vec<_> = expected
            .iter()
            .copied()
            .filter(|column| !has(column))
            .collect();
        if columns.is_empty() {
            absent.push(name);
        } else if !missing.is_empty() {
            return Ok(Tables::Foreign(name, missing));
        }
    }
    Ok(match absent.len() {
        0 => Tables::Right,
        all if all == TABLES.len() => Tables::Absent,
        _ => Tables::Partial(absent),
    })
}

/// The columns of a table or view; none when there is no such.
fn columns(conn: &Connection, name: &str) -> Result<Vec<String>> {
    let mut columns = Vec::new();
    conn.pragma(Some("main"), "table_info", name, |row| {
        columns.push(row.get("name")?);
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
                columns(&conn, &format!("{table}{suffix}")).unwrap(),
                expected
            );
        }
        let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table'";
        let count: i64 = conn.query_row(tables, [], |row| row.get(0)).unwrap();
        assert_eq!(usize::try_from(count), Ok(TABLES.len()));
    }
}
