//! Creates, checks and removes the tables of the queue in a SQLite database.
//!
//! The tables are the truth and the ledger is a record of them: tables that were made by hand
//! from exported SQL are accepted without a row in it, and rows of tables that are gone count for
//! nothing. A table that is not ours is never changed or dropped.

mod found;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use events_core::{Error, ErrorKind, Op, Result, TableName, Timestamp, spans};
use events_migrations::{Dialect, Direction, LEDGER, MigrationStatus, Plan, State};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use self::found::{find, read};
use crate::error::sqlite;
use crate::failpoint::failpoint;

const DIALECT: Dialect = Dialect::Sqlite;

/// Applies what is pending, in one transaction, and returns the ids that were recorded.
///
/// Tables that were made by hand are recorded and not touched. Several processes may call this at
/// once: the first one migrates, the others wait for it as long as the busy handler says. On an
/// up-to-date database it only reads.
///
/// # Errors
/// `InvalidConfig` when a table of that name is not ours or something else was applied under an
/// id, `SchemaMissing` when some of the tables exist and some do not, `SchemaNewer` when a newer
/// version made them. Nothing is changed then.
pub fn up(conn: &mut Connection, table: &TableName, now: Timestamp) -> Result<Vec<String>> {
    let span = spans::migrate(table, "up");
    spans::run(
        &span,
        || apply(conn, table, now),
        |span, ids| spans::migrated(span, ids),
    )
}

fn apply(conn: &mut Connection, table: &TableName, now: Timestamp) -> Result<Vec<String>> {
    let table = in_main(table)?;
    if read(conn, &table)?
        .plan(&table, Direction::Up)?
        .is_nothing()
    {
        return Ok(Vec::new());
    }
    let tx = write(conn)?;
    // Another process may have migrated since.
    let plan = find(&tx, &table)?.plan(&table, Direction::Up)?;
    tx.execute_batch(events_migrations::ledger_sql(DIALECT))
        .map_err(failed)?;
    failpoint!("mid_migration");
    run(&tx, &table, &plan)?;
    failpoint!("mid_migration");
    for step in &plan.steps {
        tx.execute(
            include_str!("sql/ledger_record.sql"),
            params![table.base(), step.id, step.checksum, now.as_microsecond()],
        )
        .map_err(failed)?;
    }
    failpoint!("mid_migration");
    tx.commit().map_err(failed)?;
    Ok(plan.ids())
}

/// Drops the tables that the ledger knows, in one transaction, and returns the ids that were
/// reverted; stored events are lost.
///
/// Tables that were made by hand and never recorded stay.
///
/// # Errors
/// `InvalidConfig` when a table of that name is not ours, `SchemaNewer` when a newer version made
/// them. Nothing is changed then.
pub fn down(conn: &mut Connection, table: &TableName) -> Result<Vec<String>> {
    let span = spans::migrate(table, "down");
    spans::run(
        &span,
        || revert(conn, table),
        |span, ids| spans::migrated(span, ids),
    )
}

fn revert(conn: &mut Connection, table: &TableName) -> Result<Vec<String>> {
    let table = in_main(table)?;
    if read(conn, &table)?
        .plan(&table, Direction::Down)?
        .is_nothing()
    {
        return Ok(Vec::new());
    }
    let tx = write(conn)?;
    let plan = find(&tx, &table)?.plan(&table, Direction::Down)?;
    run(&tx, &table, &plan)?;
    tx.commit().map_err(failed)?;
    Ok(plan.ids())
}

/// Says how each migration stands; only reads.
///
/// Tables that were made by hand are applied at no known time.
///
/// # Errors
/// What the database says.
pub fn status(conn: &Connection, table: &TableName) -> Result<Vec<MigrationStatus>> {
    let table = in_main(table)?;
    let found = read(conn, &table)?;
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
pub fn check(conn: &Connection, table: &TableName) -> Result<()> {
    let checked = || {
        let table = in_main(table)?;
        let found = read(conn, &table)?;
        // First, because it tells tables that are not ours from tables that are missing.
        found.plan(&table, Direction::Up)?;
        if found.is_hand_made() {
            return Ok(());
        }
        events_migrations::check(DIALECT, &table, &found.applied)
    };
    checked().map_err(|error: Error| error.during(Op::Open))
}

/// Returns what [`up`] or [`down`] would run, as SQL; empty when they would do nothing. Only reads.
///
/// Changes of the ledger are comments, because tables are good without them.
///
/// # Errors
/// What the operation would fail with.
pub fn dry_run(conn: &Connection, table: &TableName, direction: Direction) -> Result<String> {
    let table = in_main(table)?;
    let found = read(conn, &table)?;
    let plan = found.plan(&table, direction)?;
    if plan.is_nothing() {
        return Ok(String::new());
    }
    let mut text = "BEGIN IMMEDIATE;\n\n".to_owned();
    if direction == Direction::Up && !found.has_ledger {
        text.push_str(events_migrations::ledger_sql(DIALECT));
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
    text.push_str("COMMIT;\n");
    Ok(text)
}

/// The table without its schema, which names it in statements and in the ledger.
fn in_main(table: &TableName) -> Result<TableName> {
    let refused = |why: &str| {
        Error::new(ErrorKind::InvalidConfig, Op::Migrate)
            .because(format!("queue table {table}: {why}"))
    };
    match table.schema() {
        Some(schema) if !schema.eq_ignore_ascii_case("main") => Err(refused(
            "on SQLite the tables of a queue are in the schema main",
        )),
        _ if table.base().eq_ignore_ascii_case(LEDGER) => {
            Err(refused("that is the name of the table of migrations"))
        }
        _ => Ok(table.without_schema()),
    }
}

/// Waits for other migrators through the busy handler.
fn write(conn: &mut Connection) -> Result<Transaction<'_>> {
    conn.transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)
}

fn run(tx: &Transaction<'_>, table: &TableName, plan: &Plan) -> Result<()> {
    if plan.forget {
        tx.execute(include_str!("sql/ledger_forget.sql"), [table.base()])
            .map_err(failed)?;
    }
    if !plan.adopt {
        for step in &plan.steps {
            tx.execute_batch(&step.sql).map_err(failed)?;
        }
    }
    Ok(())
}

fn failed(error: rusqlite::Error) -> Error {
    sqlite(Op::Migrate, error)
}
