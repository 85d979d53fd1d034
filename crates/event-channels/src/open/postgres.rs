//! PostgreSQL: the queue, and migrations of its tables.

use std::sync::Arc;

use events_core::{Backend, Error, Result};
use events_migrations::{Direction, MigrationStatus};
use events_queue_pg::{Heartbeat, PostgresConfig, Publish, connect, migrate};
use tokio::runtime::Handle;

use crate::config::{Database, EventsConfig, Way};

fn settings(config: &EventsConfig) -> Result<PostgresConfig> {
    let Database::Postgres(server) = config.database() else {
        return Err(Error::invalid_config(
            "the queue on PostgreSQL needs a postgres:// URL",
        ));
    };
    let mut settings = PostgresConfig::new(server.endpoint()?);
    if let Way::Pool(pool, _) = &server.way {
        settings.publish = Some(Publish::Pool(pool.clone()));
    }
    // Past the proxy goes everything that needs a session; through it events are published.
    if let Some(Database::Postgres(direct)) = config.direct.as_ref().map(|url| &url.0) {
        let through = std::mem::replace(&mut settings.endpoint, direct.endpoint()?);
        let through = Publish::Endpoint(through, config.pool_size);
        settings.publish.get_or_insert(through);
    }
    settings.queue = config.queue_config()?;
    settings.auto_migrate = config.auto_migrate;
    settings.pool_size = config.pool_size;
    Ok(settings)
}

pub(super) async fn open(
    config: &EventsConfig,
    woken: bool,
    runtime: &Handle,
) -> Result<Arc<dyn Backend>> {
    let mut settings = settings(config)?;
    settings.notify = woken.then_some(Heartbeat {
        interval: config.heartbeat_interval,
        deadline: config.heartbeat_deadline,
    });
    let backend = events_queue_pg::open(settings, runtime).await?;
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
