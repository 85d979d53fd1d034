//! Creates, checks and removes the tables of the queue in an Oracle database.
//!
//! The tables are the truth and the ledger is a record of them: tables that were made by hand
//! from exported SQL are accepted without a row in it, and rows of tables that are gone count for
//! nothing. A table that is not ours is never changed or dropped. The ledger is in the schema of
//! the queue table.
//!
//! Oracle commits after every change of a table, so a migration is no transaction. Each one can run
//! again and completes what an interrupted run left; a second session holds the lock meanwhile.

use std::fmt::Write as _;

use events_core::{Error, ErrorKind, Op, Result, TableName, spans};
use events_migrations::{
    Applied, Dialect, Direction, Expected, Found, LEDGER, MigrationStatus, Plan, State,
};
use events_oracle_session::{Class, Columns as _, Session, Value, class_of, oracle_error};

use crate::OracleConfig;
use crate::error::BACKEND;
use crate::open::connect;
use crate::row::time;
use crate::sql::Statements;

const DIALECT: Dialect = Dialect::Oracle;

/// What is added to the name of the queue table, and the columns, as of the newest migration.
const TABLES: &[Expected] = &[
    (
        "",
        "id queue_id event_id status priority attempts lease_token keyed requeues available_at due_at \
         expires_at created_at last_error metadata payload expiry_queue",
    ),
    (
        "_queue",
        "queue_id channel consumer_group paused created_at",
    ),
    (
        "_dead",
        "id queue_id event_id priority attempts lease_token keyed requeues reason died_at created_at \
         last_error metadata payload",
    ),
    ("_key", "event_id pending expires_at"),
];

/// Applies what is pending and returns the ids that were recorded.
///
/// Several processes may call this at once: the first one migrates, the others wait for it. On an
/// up-to-date database it only reads. With `in_memory` the queue table is put into the column
/// store unless it is there; where the server has none that is said in the log.
///
/// # Errors
/// `InvalidConfig` when a table of that name is not ours or something else was applied under an
/// id, `SchemaMissing` when tables that were recorded are there in part, `SchemaNewer` when a newer
/// version made them. Nothing is changed then.
pub fn up(config: &OracleConfig) -> Result<Vec<String>> {
    let table = &config.queue.table;
    let span = spans::migrate(table, "up");
    spans::run(
        &span,
        || apply(config, table),
        |span, ids| spans::migrated(span, ids),
    )
}

fn apply(config: &OracleConfig, table: &TableName) -> Result<Vec<String>> {
    let desk = Desk::new(connect(config)?, table)?;
    let found = desk.find()?;
    refuse_recorded_part(&found, table)?;
    let mut ids = Vec::new();
    if !found.plan(table, Direction::Up)?.is_nothing() {
        desk.run(events_migrations::ledger_sql(DIALECT))?;
        desk.add_lock()?;
        let _lock = Desk::new(connect(config)?, table)?.lock()?;
        // Another process may have migrated since.
        let found = desk.find()?;
        refuse_recorded_part(&found, table)?;
        let plan = found.plan(table, Direction::Up)?;
        desk.carry_out(&plan)?;
        for step in &plan.steps {
            desk.record(step.id, &step.checksum)?;
        }
        desk.session.commit(Op::Migrate)?;
        ids = plan.ids();
    }
    if config.in_memory && !desk.is_in_column_store()? {
        desk.use_column_store()?;
    }
    Ok(ids)
}

/// Drops the tables that the ledger knows and returns the ids that were reverted; stored events are
/// lost.
///
/// Tables that were made by hand and never recorded stay.
///
/// # Errors
/// `InvalidConfig` when a table of that name is not ours, `SchemaNewer` when a newer version made
/// them. Nothing is changed then.
pub fn down(config: &OracleConfig) -> Result<Vec<String>> {
    let table = &config.queue.table;
    let span = spans::migrate(table, "down");
    spans::run(
        &span,
        || revert(config, table),
        |span, ids| spans::migrated(span, ids),
    )
}

fn revert(config: &OracleConfig, table: &TableName) -> Result<Vec<String>> {
    let desk = Desk::new(connect(config)?, table)?;
    if desk.find()?.plan(table, Direction::Down)?.is_nothing() {
        return Ok(Vec::new());
    }
    desk.add_lock()?;
    let _lock = Desk::new(connect(config)?, table)?.lock()?;
    let plan = desk.find()?.plan(table, Direction::Down)?;
    desk.carry_out(&plan)?;
    desk.session.commit(Op::Migrate)?;
    Ok(plan.ids())
}

/// Says how each migration stands; only reads.
///
/// Tables that were made by hand are applied at no known time.
///
/// # Errors
/// What the database says.
pub fn status(config: &OracleConfig) -> Result<Vec<MigrationStatus>> {
    let found = Desk::new(connect(config)?, &config.queue.table)?.find()?;
    let mut status = events_migrations::status(DIALECT, &found.applied);
    if found.is_hand_made() {
        for migration in &mut status {
            migration.state = State::Applied;
        }
    }
    Ok(status)
}

/// Checks that the tables are those of this build; only reads.
///
/// # Errors
/// `SchemaMissing` when [`up`] has something to do, and what `up` fails with.
pub fn check(session: &Session, table: &TableName) -> Result<()> {
    let checked = || {
        let found = find(session, &Statements::new(table), table)?;
        // First, because it tells tables that are not ours from tables that are missing.
        found.plan(table, Direction::Up)?;
        found.refuse_partial(table)?;
        if found.is_hand_made() {
            return Ok(());
        }
        events_migrations::check(DIALECT, table, &found.applied)
    };
    checked().map_err(|error: Error| error.during(Op::Open))
}

/// Returns what [`up`] or [`down`] would run, as SQL for SQL*Plus; empty when they would do nothing.
/// Only reads.
///
/// Changes of the ledger are comments, because tables are good without them.
///
/// # Errors
/// What the operation would fail with.
pub fn dry_run(config: &OracleConfig, direction: Direction) -> Result<String> {
    let table = &config.queue.table;
    let desk = Desk::new(connect(config)?, table)?;
    let found = desk.find()?;
    let plan = found.plan(table, direction)?;
    let mut text = String::new();
    if direction == Direction::Up && !found.has_ledger && !plan.is_nothing() {
        text.push_str(&ledger(table, events_migrations::ledger_sql(DIALECT)));
        text.push('\n');
    }
    // Writing to a string cannot fail.
    if plan.forget {
        let _ = writeln!(text, "-- Table {LEDGER}: forget {table}.\n");
    }
    for step in &plan.steps {
        if !plan.adopt {
            let _ = writeln!(text, "{}", step.sql);
        }
        if direction == Direction::Up {
            let _ = writeln!(text, "-- Table {LEDGER}: record {} for {table}.\n", step.id);
        }
    }
    if direction == Direction::Up && config.in_memory && !desk.is_in_column_store()? {
        let _ = writeln!(text, "{};\n", desk.sql.in_memory.trim_end());
    }
    Ok(text)
}

/// Where a migration is carried out: a session, and the statements for one table.
struct Desk<'a> {
    session: Session,
    sql: Statements,
    table: &'a TableName,
}

impl<'a> Desk<'a> {
    fn new(session: Session, table: &'a TableName) -> Result<Self> {
        if table.base().eq_ignore_ascii_case(LEDGER) {
            return Err(
                Error::new(ErrorKind::InvalidConfig, Op::Migrate).because(format!(
                    "queue table {table}: that is the name of the table of migrations"
                )),
            );
        }
        Ok(Self {
            session,
            sql: Statements::new(table),
            table,
        })
    }

    fn find(&self) -> Result<Found> {
        find(&self.session, &self.sql, self.table)
    }

    /// Runs the blocks of a script, which a line with a slash ends.
    fn run(&self, script: &str) -> Result<()> {
        let script = ledger(self.table, script);
        for block in script.split("\n/\n") {
            if !block.trim().is_empty() {
                self.session.execute(Op::Migrate, block, &[])?;
            }
        }
        Ok(())
    }

    fn carry_out(&self, plan: &Plan) -> Result<()> {
        if plan.forget {
            let forget = ledger(self.table, &self.sql.ledger_forget);
            self.session
                .execute(Op::Migrate, &forget, &[self.queue_table()])?;
        }
        if !plan.adopt {
            for step in &plan.steps {
                self.run(&step.sql)?;
            }
        }
        Ok(())
    }

    fn record(&self, id: &str, checksum: &str) -> Result<()> {
        let binds = [
            self.queue_table(),
            ("id", Value::from(id)),
            ("checksum", Value::from(checksum)),
        ];
        let record = ledger(self.table, &self.sql.ledger_record);
        self.session.execute(Op::Migrate, &record, &binds).map(drop)
    }

    /// Makes sure that there is a row to lock.
    fn add_lock(&self) -> Result<()> {
        let binds = ["queue_table", "id", "checksum"].map(|name| (name, Value::from("-")));
        let record = ledger(self.table, &self.sql.ledger_record);
        match self.session.try_execute(&record, &binds) {
            Ok(_) => {}
            Err(error) if class_of(&error).0 == Class::Conflict => {}
            Err(error) => return Err(oracle_error(Op::Migrate, BACKEND, error)),
        }
        self.session.commit(Op::Migrate)
    }

    /// Waits until nobody else migrates; the answer holds them off until it is dropped.
    fn lock(self) -> Result<Session> {
        // Another migration may take longer than a call of the queue.
        self.session.set_call_timeout(None)?;
        let lock = ledger(self.table, &self.sql.ledger_lock);
        self.session
            .query_locked(Op::Migrate, &lock, &[], 1, |row| row.text(0))?;
        Ok(self.session)
    }

    fn is_in_column_store(&self) -> Result<bool> {
        let binds = [
            ("owner", Value::Text(self.table.schema().map(folded))),
            ("table_name", Value::Text(Some(folded(self.table.base())))),
        ];
        let found = self
            .session
            .query(Op::Migrate, &self.sql.column_store, &binds, 1, |row| {
                row.text(0)
            });
        match found {
            // The first release of 12.1 has no such column, and no column store.
            Err(error) if error.kind() == ErrorKind::SchemaMissing => Ok(false),
            found => found.map(|rows| !rows.is_empty()),
        }
    }

    fn use_column_store(&self) -> Result<()> {
        match self.session.try_execute(&self.sql.in_memory, &[]) {
            Ok(_) => Ok(()),
            Err(error) if class_of(&error).0 == Class::FeatureMissing => {
                tracing::warn!(
                    table = %self.table,
                    "this edition of Oracle has no column store; in_memory changes nothing"
                );
                Ok(())
            }
            Err(error) => Err(oracle_error(Op::Migrate, BACKEND, error)),
        }
    }

    fn queue_table(&self) -> (&'static str, Value) {
        ("queue_table", Value::from(&*folded(self.table.base())))
    }
}

fn find(session: &Session, sql: &Statements, table: &TableName) -> Result<Found> {
    let columns = |name: String| {
        let binds = [
            ("owner", Value::Text(table.schema().map(folded))),
            ("table_name", Value::Text(Some(folded(&name)))),
        ];
        session.query(Op::Migrate, &sql.columns, &binds, usize::MAX, |row| {
            Ok(row.text(0)?.to_ascii_lowercase())
        })
    };
    let applied = if columns(LEDGER.to_owned())?.is_empty() {
        None
    } else {
        let list = ledger(table, &sql.ledger_list);
        let binds = [("queue_table", Value::Text(Some(folded(table.base()))))];
        let rows = session.query(Op::Migrate, &list, &binds, usize::MAX, |row| {
            Ok(Applied {
                id: row.text(0)?,
                checksum: row.text(1)?,
                applied_at: time(row, 2)?,
            })
        })?;
        Some(rows)
    };
    Found::new(DIALECT, table, TABLES, applied, |suffix| {
        columns(format!("{}{suffix}", table.base()))
    })
}

/// Tables that are there in part are completed, unless the ledger says that they were whole.
fn refuse_recorded_part(found: &Found, table: &TableName) -> Result<()> {
    if found.is_partial() && !found.applied.is_empty() {
        found.refuse_partial(table)?;
    }
    Ok(())
}

/// A name as Oracle folds it.
fn folded(name: &str) -> String {
    name.to_ascii_uppercase()
}

/// Names the ledger of the table's schema in a statement.
fn ledger(table: &TableName, sql: &str) -> String {
    match table.schema() {
        // A checked name holds no quote, so quoting needs no doubling.
        Some(schema) => sql.replace(LEDGER, &format!("\"{}\".{LEDGER}", folded(schema))),
        None => sql.to_owned(),
    }
}
