//! PostgreSQL: the queue, and migrations of its tables.

use std::sync::Arc;

use events_core::{Backend, Result};
use events_migrations::{Direction, MigrationStatus};
use events_queue_pg::{PostgresConfig, connect, migrate};
use tokio::runtime::Handle;

use crate::config::{Database, EventsConfig};

fn settings(config: &EventsConfig) -> Result<PostgresConfig> {
    let url = match config.database() {
        Database::Postgres(server) => server.url()?,
        _ => "",
    };
    let mut settings = PostgresConfig::new(url)?;
    settings.queue = config.queue_config()?;
    settings.auto_migrate = config.auto_migrate;
    Ok(settings)
}

pub(super) async fn open(config: &EventsConfig, runtime: &Handle) -> Result<Arc<dyn Backend>> {
    let backend = events_queue_pg::open(settings(config)?, runtime).await?;
    Ok(Arc::new(backend))
}

pub(super) async fn up(config: &EventsConfig) -> Result<Vec<String>> {
    migrate::up(&mut connect(&settings(config)?).await?, &config.table()?).await
}

pub(super) async fn down(config: &EventsConfig) -> Result<Vec<String>> {
    migrate::down(&mut connect(&settings(config)?).await?, &config.table()?).await
}

pub(super) async fn status(config: &EventsConfig) -> Result<Vec<MigrationStatus>> {
    migrate::status(&connect(&settings(config)?).await?, &config.table()?).await
}

pub(super) async fn dry_run(config: &EventsConfig, direction: Direction) -> Result<String> {
    migrate::dry_run(
        &connect(&settings(config)?).await?,
        &config.table()?,
        direction,
    )
    .await
}
