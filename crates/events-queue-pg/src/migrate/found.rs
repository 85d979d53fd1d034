//! What a database has of one queue table, and what a migration of it would do.

use events_core::{Error, ErrorKind, Op, Result, TableName};
use events_migrations::{Applied, Direction, Step};
use tokio_postgres::GenericClient;

use super::{DIALECT, failed, ledger};
use crate::row::{Time, read};

/// What is added to the name of the queue table, and the columns, as of the newest migration.
const TABLES: [(&str, &str); 7] = [
    (
        "",
        "queue_id priority id available_at created_at expires_at lease_expires_at lease_token attempts \
         requeues state keyed event_id last_error metadata payload",
    ),
    (
        "_queue",
        "queue_id channel consumer_group paused created_at",
    ),
    (
        "_delayed",
        "queue_id due_at id priority created_at expires_at lease_token attempts requeues keyed event_id \
         last_error metadata payload",
    ),
    (
        "_done",
        "queue_id acked_at id priority attempts created_at event_id metadata payload",
    ),
    (
        "_dead",
        "id queue_id priority attempts lease_token requeues keyed reason died_at created_at event_id \
         last_error metadata payload",
    ),
    ("_key", "event_id pending expires_at"),
    ("_waiter", "queue_id consumer until"),
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
    /// Looks at the ledger and at the tables.
    pub(super) async fn find(client: &impl GenericClient, table: &TableName) -> Result<Self> {
        let rows = client
            .query(
                include_str!("../sql/ledger_exists.sql"),
                &[&ledger(table, events_migrations::LEDGER)],
            )
            .await
            .map_err(failed)?;
        let has_ledger = read(Op::Migrate, &rows, |row| row.try_get(0))?
            .first()
            .copied()
            .unwrap_or(false);
        let mut applied = if has_ledger {
            applied(client, table).await?
        } else {
            Vec::new()
        };
        let tables = tables(client, table).await?;
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

async fn applied(client: &impl GenericClient, table: &TableName) -> Result<Vec<Applied>> {
    let sql = ledger(table, include_str!("../sql/ledger_list.sql"));
    let rows = client.query(&sql, &[&table.base()]).await.map_err(failed)?;
    read(Op::Migrate, &rows, |row| {
        Ok(Applied {
            id: row.try_get(0)?,
            checksum: row.try_get(1)?,
            applied_at: row.try_get::<_, Time>(2)?.0,
        })
    })
}

async fn tables(client: &impl GenericClient, table: &TableName) -> Result<Tables> {
    let mut absent = Vec::new();
    for (suffix, expected) in TABLES {
        let columns = columns(client, table, suffix).await?;
        let missing: Vec<_> = expected
            .split_whitespace()
            .filter(|column| !columns.iter().any(|found| found == column))
            .collect();
        let name = format!("{table}{suffix}");
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
async fn columns(
    client: &impl GenericClient,
    table: &TableName,
    suffix: &str,
) -> Result<Vec<String>> {
    let name = table.render(&format!("{}{suffix}", TableName::DEFAULT));
    let rows = client
        .query(include_str!("../sql/columns.sql"), &[&name])
        .await
        .map_err(failed)?;
    read(Op::Migrate, &rows, |row| row.try_get(0))
}
