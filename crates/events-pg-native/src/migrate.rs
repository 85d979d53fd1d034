//! The table for what a notification cannot carry: created, looked at and removed.
//!
//! The table is the truth and the ledger a record of it; a table that is not ours is never changed
//! or dropped.

use events_core::{Error, ErrorKind, Op, Result, TableName, Timestamp, spans};
use events_migrations::{Applied, Dialect, Direction, LEDGER, MigrationStatus, State, Step};
use tokio_postgres::{Client, GenericClient, Row, Transaction};
use tracing::Instrument as _;

use crate::error::{BACKEND, driver};

const DIALECT: Dialect = Dialect::PostgresSpill;
const COLUMNS: [&str; 3] = ["event_id", "envelope", "stored_at"];

/// Creates the table, in one transaction, and returns the ids that were recorded; none when it is
/// there. Several processes may call this at once.
///
/// # Errors
/// `InvalidConfig` when a table of that name is not ours, and what the server says.
pub async fn up(client: &mut Client, table: &TableName) -> Result<Vec<String>> {
    let span = spans::migrate(table, "up");
    let answer = create(client, table).instrument(span.clone()).await;
    spans::run(&span, || answer, |span, ids| spans::migrated(span, ids))
}

async fn create(client: &mut Client, table: &TableName) -> Result<Vec<String>> {
    if exists(client, table).await? {
        return Ok(Vec::new());
    }
    let tx = begin(client).await?;
    // Another process may have made it since.
    if exists(&tx, table).await? {
        return Ok(Vec::new());
    }
    let make_ledger = in_schema(table, events_migrations::ledger_sql(DIALECT));
    tx.batch_execute(&make_ledger).await.map_err(failed)?;
    let steps = events_migrations::plan_up(DIALECT, table, &[])?;
    let record = in_schema(table, include_str!("sql/spill_record.sql"));
    for Step {
        id, checksum, sql, ..
    } in &steps
    {
        tx.batch_execute(sql).await.map_err(failed)?;
        GenericClient::execute(&tx, &record, &[&table.base(), id, checksum])
            .await
            .map_err(failed)?;
    }
    tx.commit().await.map_err(failed)?;
    Ok(steps.iter().map(|step| step.id.to_owned()).collect())
}

/// Drops the table, in one transaction, and returns the ids that were reverted.
///
/// # Errors
/// As [`up`].
pub async fn down(client: &mut Client, table: &TableName) -> Result<Vec<String>> {
    let span = spans::migrate(table, "down");
    let answer = remove(client, table).instrument(span.clone()).await;
    spans::run(&span, || answer, |span, ids| spans::migrated(span, ids))
}

async fn remove(client: &mut Client, table: &TableName) -> Result<Vec<String>> {
    if !exists(client, table).await? {
        return Ok(Vec::new());
    }
    let tx = begin(client).await?;
    let mut ids = Vec::new();
    for migration in events_migrations::all(DIALECT).iter().rev() {
        let sql = table.render(migration.down);
        tx.batch_execute(&sql).await.map_err(failed)?;
        ids.push(migration.id.to_owned());
    }
    if !columns(&tx, &in_schema(table, LEDGER)).await?.is_empty() {
        let forget = in_schema(table, include_str!("sql/spill_forget.sql"));
        GenericClient::execute(&tx, &forget, &[&table.base()])
            .await
            .map_err(failed)?;
    }
    tx.commit().await.map_err(failed)?;
    Ok(ids)
}

/// Says whether the table is there; only reads.
///
/// # Errors
/// As [`up`].
pub async fn status(client: &Client, table: &TableName) -> Result<Vec<MigrationStatus>> {
    if !exists(client, table).await? {
        return Ok(events_migrations::status(DIALECT, &[]));
    }
    let mut status = events_migrations::status(DIALECT, &recorded(client, table).await?);
    for migration in &mut status {
        migration.state = State::Applied;
    }
    Ok(status)
}

/// What the ledger says of the table; nothing when it was made by hand.
async fn recorded(client: &Client, table: &TableName) -> Result<Vec<Applied>> {
    if columns(client, &in_schema(table, LEDGER)).await?.is_empty() {
        return Ok(Vec::new());
    }
    let ledger = in_schema(table, include_str!("sql/spill_ledger.sql"));
    let rows = client.query(&ledger, &[&table.base()]).await;
    let applied = |row: &Row| {
        Ok(Applied {
            id: row.try_get(0).map_err(failed)?,
            checksum: row.try_get(1).map_err(failed)?,
            applied_at: Timestamp::from_microsecond(row.try_get(2).map_err(failed)?).map_err(
                |error| {
                    Error::new(ErrorKind::Codec, Op::Migrate)
                        .because(format!("table {LEDGER}, {table}: applied_at is no time"))
                        .caused_by(error)
                        .in_backend(BACKEND)
                },
            )?,
        })
    };
    rows.map_err(failed)?.iter().map(applied).collect()
}

/// What [`up`] or [`down`] would run, as SQL; empty when they would do nothing. Only reads.
///
/// # Errors
/// As [`up`].
pub async fn dry_run(client: &Client, table: &TableName, direction: Direction) -> Result<String> {
    let up = direction == Direction::Up;
    if exists(client, table).await? == up {
        return Ok(String::new());
    }
    let migrations = events_migrations::all(DIALECT).iter();
    let sql = migrations.map(|migration| if up { migration.up } else { migration.down });
    let sql: Vec<String> = sql.map(|sql| table.render(sql)).collect();
    Ok(format!("BEGIN;\n\n{}\nCOMMIT;\n", sql.join("\n")))
}

/// Refuses to go on without the table.
pub(crate) async fn check(client: &Client, table: &TableName) -> Result<()> {
    let found = exists(client, table).await;
    if found.map_err(|error| error.during(Op::Open))? {
        return Ok(());
    }
    Err(Error::new(ErrorKind::SchemaMissing, Op::Open)
        .because(format!(
            "spill_table {table} does not exist: run `events migrate up --backend notify` with the same configuration, or set auto_migrate"
        ))
        .in_backend(BACKEND))
}

/// Whether the table is there and ours.
async fn exists(client: &impl GenericClient, table: &TableName) -> Result<bool> {
    let found = columns(client, &table.render(TableName::DEFAULT)).await?;
    if found.is_empty() {
        return Ok(false);
    }
    let is_lacking = |column: &&&str| !found.iter().any(|it| it == **column);
    match COLUMNS.iter().find(is_lacking) {
        None => Ok(true),
        Some(column) => Err(Error::new(ErrorKind::InvalidConfig, Op::Migrate)
            .because(format!(
                "spill_table {table} is a table of somebody else, which lacks the column {column}; use another name"
            ))
            .in_backend(BACKEND)),
    }
}

async fn columns(client: &impl GenericClient, name: &str) -> Result<Vec<String>> {
    let rows = client
        .query(include_str!("sql/spill_columns.sql"), &[&name])
        .await
        .map_err(failed)?;
    rows.iter()
        .map(|row| row.try_get(0).map_err(failed))
        .collect()
}

async fn begin(client: &mut Client) -> Result<Transaction<'_>> {
    let tx = client.transaction().await.map_err(failed)?;
    tx.execute(include_str!("sql/spill_lock.sql"), &[])
        .await
        .map_err(failed)?;
    Ok(tx)
}

/// Names the ledger of the table's schema in a statement.
fn in_schema(table: &TableName, sql: &str) -> String {
    match table.schema() {
        // A checked name holds no quote, so quoting needs no doubling.
        Some(schema) => sql.replace(LEDGER, &format!("\"{schema}\".{LEDGER}")),
        None => sql.to_owned(),
    }
}

fn failed(error: tokio_postgres::Error) -> Error {
    driver(Op::Migrate, error)
}
