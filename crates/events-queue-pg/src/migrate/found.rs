//! What a database has of one queue table.

use events_core::{Op, Result, TableName};
use events_migrations::{Applied, Expected, Found};
use tokio_postgres::GenericClient;

use super::{DIALECT, failed, ledger};
use crate::row::{Time, read};

/// What is added to the name of the queue table, and the columns, as of the newest migration.
const TABLES: [Expected; 7] = [
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

/// Looks at the ledger and at the tables.
pub(super) async fn find(client: &impl GenericClient, table: &TableName) -> Result<Found> {
    let rows = client
        .query(
            include_str!("../sql/ledger_exists.sql"),
            &[&ledger(table, events_migrations::LEDGER)],
        )
        .await
        .map_err(failed)?;
    let has_ledger = read(Op::Migrate, &rows, |row| row.try_get(0))?;
    let applied = match has_ledger.first() {
        Some(true) => Some(applied(client, table).await?),
        _ => None,
    };
    // They are asked for in the order of the list.
    let mut columns = columns(client, table).await?.into_iter();
    Found::new(DIALECT, table, &TABLES, applied, |_| {
        Ok(columns.next().unwrap_or_default())
    })
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

/// The columns of each table or view of the list; none when there is no such.
async fn columns(client: &impl GenericClient, table: &TableName) -> Result<Vec<Vec<String>>> {
    let name = |(suffix, _)| table.render(&format!("{}{suffix}", TableName::DEFAULT));
    let names = TABLES.map(name).to_vec();
    let rows = client
        .query(include_str!("../sql/columns.sql"), &[&names])
        .await
        .map_err(failed)?;
    let mut all = vec![Vec::new(); TABLES.len()];
    for (nr, column) in read(Op::Migrate, &rows, |row| {
        Ok((row.try_get::<_, i64>(0)?, row.try_get(1)?))
    })? {
        // Numbers count from 1.
        let at = usize::try_from(nr).ok().and_then(|nr| nr.checked_sub(1));
        if let Some(columns) = at.and_then(|at| all.get_mut(at)) {
            columns.push(column);
        }
    }
    Ok(all)
}
