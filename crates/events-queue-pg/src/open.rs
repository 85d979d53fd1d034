//! Connects, checks what cannot be taken for granted, and starts the backend.

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use events_core::{Error, ErrorKind, Op, Result};
use events_queue::QueueBackend;
use tokio::runtime::Handle;
use tokio_postgres::{Client, NoTls};

use crate::database::Database;
use crate::error::{BACKEND, postgres, timed_out};
use crate::tasks::Tasks;
use crate::{PostgresConfig, PostgresStore, migrate};

/// The first version that is tested.
const OLDEST: i32 = 140_000;

/// Opens a queue on PostgreSQL; its background tasks run on `runtime`.
///
/// # Errors
/// `InvalidConfig`, `Auth`, `Permission`, `Unavailable`, `Unsupported` for a server that is too
/// old, `SchemaMissing` or `SchemaNewer`, each with the way out.
pub async fn open(config: PostgresConfig, runtime: &Handle) -> Result<QueueBackend<PostgresStore>> {
    config.check()?;
    let table = config.queue.table.clone();
    let mut client = connect(&config).await?;
    check_version(&client).await?;
    if config.auto_migrate {
        migrate::up(&mut client, &table).await?;
    } else {
        migrate::check(&client, &table).await?;
    }
    drop(client);
    let manager = Manager::from_config(
        config.server.clone(),
        NoTls,
        ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        },
    );
    let pool = Pool::builder(manager)
        .max_size(config.pool_size)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|e| Error::invalid_config("the pool of connections was refused").caused_by(e))?;
    let database = Database::new(pool, config.queue.clone(), config.timeout);
    let store = PostgresStore::new(database, Tasks::new(runtime.clone()));
    QueueBackend::start(store, config.queue, runtime)
}

/// Makes one connection, for migrations; the tables are not looked at.
///
/// # Errors
/// As [`open`], except for the schema.
pub async fn connect(config: &PostgresConfig) -> Result<Client> {
    let connecting = config.server.connect(NoTls);
    let (client, connection) = tokio::time::timeout(config.timeout, connecting)
        .await
        .map_err(|_| timed_out(Op::Open, config.timeout))?
        .map_err(|e| postgres(Op::Open, e))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to PostgreSQL ended");
        }
    });
    Ok(client)
}

async fn check_version(client: &Client) -> Result<()> {
    let rows = client
        .query(include_str!("sql/version.sql"), &[])
        .await
        .map_err(|e| postgres(Op::Open, e))?;
    let row = rows.first().expect("a query without a table has one row");
    let version: i32 = row.try_get(0).map_err(|e| postgres(Op::Open, e))?;
    if version >= OLDEST {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, Op::Open)
        .in_backend(BACKEND)
        .because(format!(
            "the server has version {}; 14 or newer is needed",
            version / 10_000
        )))
}
