//! What a ledger and this build have in common, and what to run to bring them together.

use std::fmt;

use events_core::{Error, ErrorKind, Op, Result, TableName, Timestamp};
use serde::Serialize;

use crate::{Dialect, Migration, all};

/// A row of the ledger: a migration that one queue table of a database has had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The id of the migration.
    pub id: String,
    /// The checksum of what was run.
    pub checksum: String,
    /// When it was run, by the clock of the database.
    pub applied_at: Timestamp,
}

/// Which way to migrate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Applies what is pending.
    Up,
    /// Reverts everything; stored events are lost.
    Down,
}

/// How a migration stands in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// It has been applied.
    Applied,
    /// It has not been applied.
    Pending,
    /// Something else has been applied under its id.
    Changed,
    /// It has been applied and this build does not know it.
    Unknown,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
            Self::Changed => "changed",
            Self::Unknown => "unknown",
        })
    }
}

/// A migration and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MigrationStatus {
    /// The id of the migration.
    pub id: String,
    /// What it does; `None` when this build does not know it.
    pub name: Option<&'static str>,
    /// How it stands.
    pub state: State,
    /// When it was applied; `None` when it was not, or nobody recorded it.
    pub applied_at: Option<Timestamp>,
}

/// A migration to run, in one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The id of the migration.
    pub id: &'static str,
    /// The checksum for the ledger.
    pub checksum: String,
    /// The statements to run, with the names of the tables in place.
    pub sql: String,
}

impl Step {
    fn new(migration: &Migration, sql: String) -> Self {
        Self {
            id: migration.id,
            checksum: migration.checksum(),
            sql,
        }
    }
}

/// Says how each migration stands: those of this build in order, then those that it does not know.
#[must_use]
pub fn status(dialect: Dialect, applied: &[Applied]) -> Vec<MigrationStatus> {
    let known = all(dialect).iter().map(|migration| {
        let row = row_of(applied, migration);
        MigrationStatus {
            id: migration.id.to_owned(),
            name: Some(migration.name),
            state: match row {
                None => State::Pending,
                Some(row) if row.checksum == migration.checksum() => State::Applied,
                Some(_) => State::Changed,
            },
            applied_at: row.map(|row| row.applied_at),
        }
    });
    let unknown = unknown(dialect, applied).map(|row| MigrationStatus {
        id: row.id.clone(),
        name: None,
        state: State::Unknown,
        applied_at: Some(row.applied_at),
    });
    known.chain(unknown).collect()
}

/// Plans what brings the tables of `table` up to this build, oldest first.
///
/// # Errors
/// `SchemaNewer` when the ledger has an id that this build does not know, `InvalidConfig` when
/// something else was applied under an id.
pub fn plan_up(dialect: Dialect, table: &TableName, applied: &[Applied]) -> Result<Vec<Step>> {
    refuse_unknown(dialect, table, applied)?;
    refuse_changed(dialect, table, applied)?;
    let steps = all(dialect)
        .iter()
        .filter(|migration| row_of(applied, migration).is_none())
        .map(|migration| Step::new(migration, dialect.render(table, migration.up)));
    Ok(steps.collect())
}

/// Plans what reverts every applied migration of `table`, newest first.
///
/// A changed migration is reverted as well: it is the way out of that error.
///
/// # Errors
/// `SchemaNewer` when the ledger has an id that this build does not know: it cannot revert it.
pub fn plan_down(dialect: Dialect, table: &TableName, applied: &[Applied]) -> Result<Vec<Step>> {
    refuse_unknown(dialect, table, applied)?;
    let steps = all(dialect)
        .iter()
        .rev()
        .filter(|migration| row_of(applied, migration).is_some())
        .map(|migration| Step::new(migration, dialect.render(table, migration.down)));
    Ok(steps.collect())
}

/// Checks that the tables of `table` are those of this build.
///
/// # Errors
/// `SchemaMissing` when a migration is pending, and what [`plan_up`] fails with.
pub fn check(dialect: Dialect, table: &TableName, applied: &[Applied]) -> Result<()> {
    let steps = plan_up(dialect, table, applied).map_err(|error| error.during(Op::Open))?;
    let Some(step) = steps.first() else {
        return Ok(());
    };
    let missing = if applied.is_empty() {
        format!("queue table {table} does not exist")
    } else {
        format!("queue table {table} has not had migration {}", step.id)
    };
    Err(
        Error::new(ErrorKind::SchemaMissing, Op::Open).because(format!(
            "{missing}: run `events migrate up --table {table}` or call EventsConfig::migrate_up"
        )),
    )
}

fn row_of<'a>(applied: &'a [Applied], migration: &Migration) -> Option<&'a Applied> {
    applied.iter().find(|row| row.id == migration.id)
}

fn unknown(dialect: Dialect, applied: &[Applied]) -> impl Iterator<Item = &Applied> {
    let known = move |row: &Applied| all(dialect).iter().any(|migration| migration.id == row.id);
    applied.iter().filter(move |row| !known(row))
}

fn refuse_unknown(dialect: Dialect, table: &TableName, applied: &[Applied]) -> Result<()> {
    let Some(row) = unknown(dialect, applied).next() else {
        return Ok(());
    };
    Err(
        Error::new(ErrorKind::SchemaNewer, Op::Migrate).because(format!(
            "queue table {table} has had migration {:?}, which this build does not know: \
         upgrade event-channels",
            row.id
        )),
    )
}

fn refuse_changed(dialect: Dialect, table: &TableName, applied: &[Applied]) -> Result<()> {
    for migration in all(dialect) {
        let (Some(row), ours) = (row_of(applied, migration), migration.checksum()) else {
            continue;
        };
        if row.checksum != ours {
            return Err(
                Error::new(ErrorKind::InvalidConfig, Op::Migrate).because(format!(
                    "migration {} of queue table {table} was applied with checksum {:?} and this \
                 build has {:?}: use the version of event-channels that applied it, or give up \
                 its events with `events migrate down --table {table}` and migrate up again",
                    migration.id,
                    prefix(&row.checksum),
                    prefix(&ours)
                )),
            );
        }
    }
    Ok(())
}

/// As much of a checksum as a person compares.
fn prefix(checksum: &str) -> String {
    checksum.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIALECT: Dialect = Dialect::Sqlite;

    fn table() -> TableName {
        TableName::new("app_events").unwrap()
    }

    fn row(id: &str, checksum: &str) -> Applied {
        Applied {
            id: id.to_owned(),
            checksum: checksum.to_owned(),
            applied_at: Timestamp::UNIX_EPOCH,
        }
    }

    /// The ledger after `plan_up` was run.
    fn complete() -> Vec<Applied> {
        all(DIALECT)
            .iter()
            .map(|migration| row(migration.id, &migration.checksum()))
            .collect()
    }

    fn states(applied: &[Applied]) -> Vec<State> {
        let of = |migration: MigrationStatus| migration.state;
        status(DIALECT, applied).into_iter().map(of).collect()
    }

    #[test]
    fn status_knows_four_states() {
        assert_eq!(states(&[]), [State::Pending]);
        assert_eq!(states(&complete()), [State::Applied]);
        assert_eq!(states(&[row("ext_events_0001", "else")]), [State::Changed]);
        let newer = [row("ext_events_9999", "x")];
        assert_eq!(states(&newer), [State::Pending, State::Unknown]);
    }

    #[test]
    fn status_reads_well_as_json_and_text() {
        let json = |applied: &[Applied]| serde_json::to_value(status(DIALECT, applied)).unwrap();
        assert_eq!(
            json(&[]),
            serde_json::json!([{
                "id": "ext_events_0001",
                "name": "create_event_queue",
                "state": "pending",
                "applied_at": null,
            }])
        );
        assert_eq!(json(&complete())[0]["applied_at"], "1970-01-01T00:00:00Z");
        assert_eq!(format!("{:<8}|", State::Unknown), "unknown |");
    }

    #[test]
    fn up_plans_what_is_pending_for_this_table() {
        let steps = plan_up(DIALECT, &table(), &[]).unwrap();
        assert_eq!(steps.len(), all(DIALECT).len());
        assert_eq!(steps[0].checksum, all(DIALECT)[0].checksum());
        assert!(steps[0].sql.contains("CREATE TABLE \"app_events_queue\""));
        assert!(plan_up(DIALECT, &table(), &complete()).unwrap().is_empty());
    }

    #[test]
    fn down_plans_what_was_applied_newest_first() {
        assert!(plan_down(DIALECT, &table(), &[]).unwrap().is_empty());
        let steps = plan_down(DIALECT, &table(), &complete()).unwrap();
        assert!(steps.is_sorted_by(|a, b| a.id > b.id));
        assert!(steps[0].sql.contains("DROP TABLE IF EXISTS \"app_events\""));
    }

    #[test]
    fn an_unknown_id_stops_everything() {
        let mut newer = complete();
        newer.push(row("ext_events_9999", "x"));
        for error in [
            plan_up(DIALECT, &table(), &newer).unwrap_err(),
            plan_down(DIALECT, &table(), &newer).unwrap_err(),
            check(DIALECT, &table(), &newer).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::SchemaNewer);
            for part in ["ext_events_9999", "app_events", "upgrade event-channels"] {
                assert!(error.to_string().contains(part), "{error}");
            }
        }
    }

    #[test]
    fn a_changed_migration_stops_all_but_down() {
        let changed = [row("ext_events_0001", "0123456789abcdef")];
        let ours = &all(DIALECT)[0].checksum()[..12];
        for error in [
            plan_up(DIALECT, &table(), &changed).unwrap_err(),
            check(DIALECT, &table(), &changed).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            let down = "`events migrate down --table app_events`";
            for part in ["ext_events_0001", "\"0123456789ab\"", ours, down] {
                assert!(error.to_string().contains(part), "{error}");
            }
        }
        assert_eq!(plan_down(DIALECT, &table(), &changed).unwrap().len(), 1);
    }

    #[test]
    fn check_names_the_command_that_creates_the_tables() {
        check(DIALECT, &table(), &complete()).unwrap();
        let error = check(DIALECT, &table(), &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMissing);
        assert_eq!(
            error.to_string(),
            "open failed: schema missing (queue table app_events does not exist: \
             run `events migrate up --table app_events` or call EventsConfig::migrate_up)"
        );
    }
}
