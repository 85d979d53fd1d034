//! Native notifications on PostgreSQL, which need no tables, or one for what they cannot carry.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use events_core::telemetry::Telemetry;
use events_core::{Backend, Error, Op, Result, TableName};
use events_migrations::{Dialect, Direction, MigrationStatus};
use events_pg_native::tokio_postgres::Client;
use events_pg_native::{Connector, NotifyConfig, Publish, Spill, migrate};
use tokio::runtime::Handle;

use crate::config::{Database, EventsConfig, Server, Way};

pub(super) async fn open(
    config: &EventsConfig,
    server: &Server,
    runtime: &Handle,
) -> Result<Arc<dyn Backend>> {
    let mut settings = match &server.way {
        Way::Pool(pool, listen) => NotifyConfig::from_pool(pool.clone(), listen.clone()),
        _ => {
            let endpoint = server.endpoint()?;
            let mut settings = NotifyConfig::new(endpoint.clone());
            settings.publish = Publish::Endpoint(endpoint, config.pool_size);
            settings
        }
    };
    if let Some(Database::Postgres(direct)) = config.direct.as_ref().map(|url| &url.0) {
        settings.listen = direct.endpoint()?;
    }
    settings.heartbeat_interval = config.heartbeat_interval;
    settings.heartbeat_deadline = config.heartbeat_deadline;
    settings.queue_capacity = config.listener_queue_capacity;
    settings.overflow = config.listener_overflow;
    settings.max_payload_bytes = config.max_payload_bytes;
    settings.telemetry = Telemetry::named(&config.name);
    if let Some(table) = spill_table(config)? {
        if config.auto_migrate {
            migrate::up(&mut client(config).await?, &table).await?;
        }
        settings.spill = Some(Spill {
            table,
            retention: config.retention,
        });
    }
    Ok(Arc::new(events_pg_native::open(settings, runtime).await?))
}

/// The table for what a notification cannot carry, if there is to be one.
fn spill_table(config: &EventsConfig) -> Result<Option<TableName>> {
    config
        .spill_table
        .as_deref()
        .map(TableName::new)
        .transpose()
}

/// A connection for the migration of that table.
async fn client(config: &EventsConfig) -> Result<Client> {
    let Database::Postgres(server) = config.database() else {
        return Err(Error::invalid_config("notifications need PostgreSQL"));
    };
    let server = match config.direct.as_ref().map(|url| &url.0) {
        Some(Database::Postgres(direct)) => direct,
        _ => server,
    };
    let connector = Connector::new(server.endpoint()?).await?;
    connector.client(Op::Migrate).await
}

pub(super) async fn up(config: &EventsConfig) -> Result<Vec<String>> {
    match spill_table(config)? {
        Some(table) => migrate::up(&mut client(config).await?, &table).await,
        None => Ok(Vec::new()),
    }
}

pub(super) async fn down(config: &EventsConfig) -> Result<Vec<String>> {
    match spill_table(config)? {
        Some(table) => migrate::down(&mut client(config).await?, &table).await,
        None => Ok(Vec::new()),
    }
}

pub(super) async fn status(config: &EventsConfig) -> Result<Vec<MigrationStatus>> {
    match spill_table(config)? {
        Some(table) => migrate::status(&client(config).await?, &table).await,
        None => Ok(Vec::new()),
    }
}

pub(super) async fn dry_run(config: &EventsConfig, direction: Direction) -> Result<String> {
    match spill_table(config)? {
        Some(table) => migrate::dry_run(&client(config).await?, &table, direction).await,
        None => Ok(String::new()),
    }
}

pub(super) fn export(config: &EventsConfig, folder: &Path) -> Result<Vec<PathBuf>> {
    match spill_table(config)? {
        Some(table) => events_migrations::export(Dialect::PostgresSpill, &table, folder),
        None => Ok(Vec::new()),
    }
}
