//! Oracle: its driver blocks, so everything here runs on a thread of its own.

use std::sync::Arc;

use events_core::{Backend, Result};
use events_migrations::{Direction, MigrationStatus};
use events_queue_oracle::{OracleConfig, Server, migrate};
use tokio::runtime::Handle;

use super::apart;
use crate::config::EventsConfig;

fn settings(config: &EventsConfig, server: &Server) -> Result<OracleConfig> {
    let mut settings = OracleConfig::new(server.clone());
    settings.queue = config.queue_config()?;
    settings.auto_migrate = config.auto_migrate;
    settings.in_memory = config.in_memory;
    settings.pool_size = config.pool_size;
    Ok(settings)
}

pub(super) async fn open(
    config: &EventsConfig,
    server: &Server,
    runtime: &Handle,
) -> Result<Arc<dyn Backend>> {
    let (settings, runtime) = (settings(config, server)?, runtime.clone());
    apart(move || {
        let backend = events_queue_oracle::open(settings, &runtime)?;
        Ok(Arc::new(backend) as Arc<dyn Backend>)
    })
    .await
}

pub(super) async fn up(config: &EventsConfig, server: &Server) -> Result<Vec<String>> {
    let settings = settings(config, server)?;
    apart(move || migrate::up(&settings)).await
}

pub(super) async fn down(config: &EventsConfig, server: &Server) -> Result<Vec<String>> {
    let settings = settings(config, server)?;
    apart(move || migrate::down(&settings)).await
}

pub(super) async fn status(config: &EventsConfig, server: &Server) -> Result<Vec<MigrationStatus>> {
    let settings = settings(config, server)?;
    apart(move || migrate::status(&settings)).await
}

pub(super) async fn dry_run(
    config: &EventsConfig,
    server: &Server,
    direction: Direction,
) -> Result<String> {
    let settings = settings(config, server)?;
    apart(move || migrate::dry_run(&settings, direction)).await
}
