//! What a database has of one queue table, and what a migration of it would do.
//!
//! The tables are the truth and the ledger is a record of them.

use events_core::{Error, ErrorKind, Op, Result, TableName};

use crate::{Applied, Dialect, Direction, Step, all, plan_down, plan_up};

/// A table of the queue: what is added to the name, and its columns in lower case.
pub type Expected = (&'static str, &'static str);

/// What a database has of one queue table.
#[derive(Debug)]
pub struct Found {
    dialect: Dialect,
    /// Whether the ledger exists.
    pub has_ledger: bool,
    /// What the ledger says, without what is stale.
    pub applied: Vec<Applied>,
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
pub struct Plan {
    /// Remove the rows of the ledger.
    pub forget: bool,
    /// Record the steps without running them.
    pub adopt: bool,
    /// What is run and recorded.
    pub steps: Vec<Step>,
}

impl Found {
    /// Compares what there is with what is expected. `applied` is what the ledger says, if there is
    /// one; `columns` answers the columns of a table in lower case, none when it does not exist.
    ///
    /// # Errors
    /// Those of `columns`.
    pub fn new(
        dialect: Dialect,
        table: &TableName,
        expected: &[Expected],
        ledger: Option<Vec<Applied>>,
        columns: impl FnMut(&str) -> Result<Vec<String>>,
    ) -> Result<Self> {
        let tables = tables(table, expected, columns)?;
        let has_ledger = ledger.is_some();
        let mut applied = ledger.unwrap_or_default();
        let rows = applied.len();
        if tables == Tables::Absent {
            // Ids of a newer version stay: it may have moved its events to tables of other names.
            applied.retain(|row| !all(dialect).iter().any(|known| known.id == row.id));
        }
        Ok(Self {
            dialect,
            has_ledger,
            stale: applied.len() < rows,
            applied,
            tables,
        })
    }

    /// Whether the tables were made without the ledger.
    #[must_use]
    pub fn is_hand_made(&self) -> bool {
        self.tables == Tables::Right && self.applied.is_empty()
    }

    /// Whether some of the tables are there and some are not.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        matches!(self.tables, Tables::Partial(_))
    }

    /// What is to be done.
    ///
    /// # Errors
    /// `InvalidConfig` for a table that is not ours or a changed checksum, `SchemaNewer`,
    /// `SchemaMissing` for tables in part where no migration of ours can have left them so.
    pub fn plan(&self, table: &TableName, direction: Direction) -> Result<Plan> {
        match direction {
            Direction::Up => {
                let steps = plan_up(self.dialect, table, &self.applied)?;
                self.refuse_foreign()?;
                if self.dialect.is_all_or_nothing() {
                    self.refuse_partial(table)?;
                }
                Ok(Plan {
                    forget: self.stale,
                    adopt: self.is_hand_made(),
                    steps,
                })
            }
            Direction::Down => {
                let steps = plan_down(self.dialect, table, &self.applied)?;
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

    /// Refuses tables that the ledger calls applied and that are there in part.
    ///
    /// # Errors
    /// `SchemaMissing` that names what is absent.
    pub fn refuse_partial(&self, table: &TableName) -> Result<()> {
        let Tables::Partial(absent) = &self.tables else {
            return Ok(());
        };
        let way_out = if self.applied.is_empty() && self.dialect.is_all_or_nothing() {
            "make the rest from the same SQL, or choose another queue_table".to_owned()
        } else if self.applied.is_empty() {
            format!(
                "complete it with `events migrate up --table {table}`, or choose another queue_table"
            )
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
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.steps.is_empty() && !self.forget
    }

    /// The ids of its steps.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.steps.iter().map(|step| step.id.to_owned()).collect()
    }
}

fn tables(
    table: &TableName,
    expected: &[Expected],
    mut columns: impl FnMut(&str) -> Result<Vec<String>>,
) -> Result<Tables> {
    let mut absent = Vec::new();
    for (suffix, wanted) in expected {
        let found = columns(suffix)?;
        let missing: Vec<_> = wanted
            .split_whitespace()
            .filter(|column| !found.iter().any(|found| found == column))
            .collect();
        let name = format!("{table}{suffix}");
        if found.is_empty() {
            absent.push(name);
        } else if !missing.is_empty() {
            return Ok(Tables::Foreign(name, missing));
        }
    }
    Ok(match absent.len() {
        0 => Tables::Right,
        all if all == expected.len() => Tables::Absent,
        _ => Tables::Partial(absent),
    })
}
