//! Connects, checks what cannot be taken for granted, and starts the backend.

use events_core::{Op, Result};
use events_pg_native::{Connector, Publish};
use events_queue::QueueBackend;
use tokio::runtime::Handle;
use tokio_postgres::Client;

use crate::database::{Database, Pools};
use crate::error::BACKEND;
use crate::tasks::Tasks;
use crate::{PostgresConfig, PostgresStore, migrate};

/// Opens a queue on PostgreSQL; its background tasks run on `runtime`.
///
/// # Errors
/// `InvalidConfig`, `Auth`, `Tls`, `Permission`, `Unavailable`, `Unsupported` for a server that is
/// too old, `SchemaMissing` or `SchemaNewer`, each with the way out.
pub async fn open(config: PostgresConfig, runtime: &Handle) -> Result<QueueBackend<PostgresStore>> {
    config.check()?;
    let table = config.queue.table.clone();
    let connector = Connector::new(config.endpoint.clone()).await?;
    let mut client = named(connector.client(Op::Open).await)?;
    if config.auto_migrate {
        migrate::up(&mut client, &table).await?;
    } else {
        migrate::check(&client, &table).await?;
    }
    drop(client);
    let own = connector.pool(config.pool_size)?;
    let pools = match &config.publish {
        None => Pools::one(own),
        Some(Publish::Pool(theirs)) => Pools::two(own, theirs.clone(), false),
        Some(Publish::Endpoint(endpoint, size)) => {
            let connector = Connector::new(endpoint.clone()).await?;
            Pools::two(own, connector.pool(*size)?, true)
        }
    };
    let database = Database::new(pools, config.queue.clone(), config.timeout);
    let store = PostgresStore::new(database, Tasks::new(runtime.clone()));
    QueueBackend::start(store, config.queue, runtime)
}

/// Makes one connection, for migrations; the tables are not looked at.
///
/// # Errors
/// As [`open`], except for the schema.
pub async fn connect(config: &PostgresConfig) -> Result<Client> {
    let connector = Connector::new(config.endpoint.clone()).await?;
    named(connector.client(Op::Open).await)
}

fn named<T>(answer: Result<T>) -> Result<T> {
    answer.map_err(|error| error.in_backend(BACKEND))
}
