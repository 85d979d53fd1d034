//! SQLite: its driver blocks, so everything here runs on a thread of its own.

use std::sync::Arc;

use events_core::{Backend, Result, Timestamp};
use events_migrations::{Direction, MigrationStatus};
use events_queue_sqlite::{Location, SqliteConfig, connect, look, migrate};
use tokio::runtime::Handle;

use super::apart;
use crate::config::{Database, EventsConfig};

fn settings(config: &EventsConfig) -> Result<SqliteConfig> {
    let mut settings = match config.database() {
        Database::SqliteFile(path) => SqliteConfig::file(path),
        _ => SqliteConfig::memory(),
    };
    settings.queue = config.queue_config()?;
    settings.auto_migrate = config.auto_migrate;
    Ok(settings)
}

pub(super) async fn open(config: &EventsConfig, runtime: &Handle) -> Result<Arc<dyn Backend>> {
    let (settings, runtime) = (settings(config)?, runtime.clone());
    apart(move || {
        let backend = events_queue_sqlite::open(settings, &runtime)?;
        Ok(Arc::new(backend) as Arc<dyn Backend>)
    })
    .await
}

pub(super) async fn up(config: &EventsConfig) -> Result<Vec<String>> {
    let (settings, table) = (settings(config)?, config.table()?);
    apart(move || migrate::up(&mut connect(&settings)?, &table, Timestamp::now())).await
}

pub(super) async fn down(config: &EventsConfig) -> Result<Vec<String>> {
    let (settings, table) = (settings(config)?, config.table()?);
    apart(move || {
        // A file that does not exist has no tables, and is not made to find that out.
        if matches!(&settings.location, Location::File(path) if matches!(path.try_exists(), Ok(false)))
        {
            return Ok(Vec::new());
        }
        migrate::down(&mut connect(&settings)?, &table)
    })
    .await
}

pub(super) async fn status(config: &EventsConfig) -> Result<Vec<MigrationStatus>> {
    let (settings, table) = (settings(config)?, config.table()?);
    apart(move || migrate::status(&look(&settings)?, &table)).await
}

pub(super) async fn dry_run(config: &EventsConfig, direction: Direction) -> Result<String> {
    let (settings, table) = (settings(config)?, config.table()?);
    apart(move || migrate::dry_run(&look(&settings)?, &table, direction)).await
}
