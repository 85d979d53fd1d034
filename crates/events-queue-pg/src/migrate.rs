//! Creates, checks and removes the tables of the queue in a PostgreSQL database.
//!
//! The tables are the truth and the ledger is a record of them: tables that were made by hand
//! from exported SQL are accepted without a row in it, and rows of tables that are gone count for
//! nothing. A table that is not ours is never changed or dropped.
//!
//! The ledger is in the schema of the queue table.

mod found;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use events_core::{Error, ErrorKind, Op, Result, TableName, spans};
use events_migrations::{Dialect, Direction, LEDGER, MigrationStatus, Plan, State};
use tokio_postgres::{Client, GenericClient, Transaction};
use tracing::Instrument as _;

use self::found::find;
use crate::error::postgres;

const DIALECT: Dialect = Dialect::Postgres;

/// Applies what is pending, in one transaction, and returns the ids that were recorded.
///
/// Tables that were made by hand are recorded and not touched. Several processes may call this at
/// once: the first one migrates, the others wait for it at an advisory lock. On an up-to-date
/// database it only reads.
///
/// # Errors
/// `InvalidConfig` when a table of that name is not ours or something else was applied under an
/// id, `SchemaMissing` when some of the tables exist and some do not, `SchemaNewer` when a newer
/// version made them. Nothing is changed then.
pub async fn up(client: &mut Client, table: &TableName) -> Result<Vec<String>> {
    let span = spans::migrate(table, "up");
    let answer = apply(client, table).instrument(span.clone()).await;
    spans::run(&span, || answer, |span, ids| spans::migrated(span, ids))
}

async fn apply(client: &mut Client, table: &TableName) -> Result<Vec<String>> {
    refuse_ledger(table)?;
    if find(client, table)
        .await?
        .plan(table, Direction::Up)?
        .is_nothing()
    {
        return Ok(Vec::new());
    }
    let tx = begin(client).await?;
    // Another process may have migrated since.
    let plan = find(&tx, table).await?.plan(table, Direction::Up)?;
    tx.batch_execute(&ledger(table, events_migrations::ledger_sql(DIALECT)))
        .await
        .map_err(failed)?;
    run(&tx, table, &plan).await?;
    let record = ledger(table, include_str!("sql/ledger_record.sql"));
    for step in &plan.steps {
        tx.execute(&record, &[&table.base(), &step.id, &step.checksum])
            .await
            .map_err(failed)?;
    }
    tx.commit().await.map_err(failed)?;
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
pub async fn down(client: &mut Client, table: &TableName) -> Result<Vec<String>> {
    let span = spans::migrate(table, "down");
    let answer = revert(client, table).instrument(span.clone()).await;
    spans::run(&span, || answer, |span, ids| spans::migrated(span, ids))
}

async fn revert(client: &mut Client, table: &TableName) -> Result<Vec<String>> {
    refuse_ledger(table)?;
    if find(client, table)
        .await?
        .plan(table, Direction::Down)?
        .is_nothing()
    {
        return Ok(Vec::new());
    }
    let tx = begin(client).await?;
    let plan = find(&tx, table).await?.plan(table, Direction::Down)?;
    run(&tx, table, &plan).await?;
    tx.commit().await.map_err(failed)?;
    Ok(plan.ids())
}

/// Says how each migration stands; only reads.
///
/// Tables that were made by hand are applied at no known time.
///
/// # Errors
/// What the database says.
pub async fn status(client: &Client, table: &TableName) -> Result<Vec<MigrationStatus>> {
    refuse_ledger(table)?;
    let found = find(client, table).await?;
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
pub async fn check(client: &Client, table: &TableName) -> Result<()> {
    let checked = async {
        refuse_ledger(table)?;
        let found = find(client, table).await?;
        // First, because it tells tables that are not ours from tables that are missing.
        found.plan(table, Direction::Up)?;
        if found.is_hand_made() {
            return Ok(());
        }
        events_migrations::check(DIALECT, table, &found.applied)
    };
    checked.await.map_err(|error: Error| error.during(Op::Open))
}

/// Returns what [`up`] or [`down`] would run, as SQL; empty when they would do nothing. Only reads.
///
/// Changes of the ledger are comments, because tables are good without them.
///
/// # Errors
/// What the operation would fail with.
pub async fn dry_run(client: &Client, table: &TableName, direction: Direction) -> Result<String> {
    refuse_ledger(table)?;
    let found = find(client, table).await?;
    let plan = found.plan(table, direction)?;
    if plan.is_nothing() {
        return Ok(String::new());
    }
    let mut text = "BEGIN;\n\n".to_owned();
    if direction == Direction::Up && !found.has_ledger {
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
    text.push_str("COMMIT;\n");
    Ok(text)
}

fn refuse_ledger(table: &TableName) -> Result<()> {
    if table.base() == LEDGER {
        return Err(
            Error::new(ErrorKind::InvalidConfig, Op::Migrate).because(format!(
                "queue table {table}: that is the name of the table of migrations"
            )),
        );
    }
    Ok(())
}

/// Names the ledger of the table's schema in a statement.
fn ledger(table: &TableName, sql: &str) -> String {
    match table.schema() {
        // A checked name holds no quote, so quoting needs no doubling.
        Some(schema) => sql.replace(LEDGER, &format!("\"{schema}\".{LEDGER}")),
        None => sql.to_owned(),
    }
}

/// Begins a transaction in which nobody else migrates.
async fn begin(client: &mut Client) -> Result<Transaction<'_>> {
    let tx = client.transaction().await.map_err(failed)?;
    tx.execute(include_str!("sql/migration_lock.sql"), &[])
        .await
        .map_err(failed)?;
    Ok(tx)
}

async fn run(tx: &Transaction<'_>, table: &TableName, plan: &Plan) -> Result<()> {
    if plan.forget {
        let forget = ledger(table, include_str!("sql/ledger_forget.sql"));
        GenericClient::execute(tx, &forget, &[&table.base()])
            .await
            .map_err(failed)?;
    }
    if !plan.adopt {
        for step in &plan.steps {
            tx.batch_execute(&step.sql).await.map_err(failed)?;
        }
    }
    Ok(())
}

fn failed(error: tokio_postgres::Error) -> Error {
    postgres(Op::Migrate, error)
}
