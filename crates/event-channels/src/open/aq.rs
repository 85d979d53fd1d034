//! Oracle's queues, and the queues themselves when a migration is for them.

use std::sync::Arc;

use events_core::telemetry::Telemetry;
use events_core::{Backend, ErrorKind, Result};
use events_migrations::Direction;
use events_oracle_aq::{AqConfig, Flavour, Visibility, migrate};
use events_queue_oracle::Server;

use super::apart;
use crate::config::{AqVisibility, BackendKind, EventsConfig};

/// The kind of queue that is meant; `None` for every other backend.
pub(super) fn flavour(backend: Option<BackendKind>) -> Option<Flavour> {
    match backend {
        Some(BackendKind::Aq) => Some(Flavour::Aq),
        Some(BackendKind::TxEventQ) => Some(Flavour::TxEventQ),
        _ => None,
    }
}

fn settings(config: &EventsConfig, server: &Server, flavour: Flavour) -> AqConfig {
    let mut settings = AqConfig::new(server.clone(), flavour);
    settings.queue.clone_from(&config.aq_queue);
    settings.groups = config.aq_groups;
    settings.wait = config.aq_wait;
    settings.poll_interval = config.poll_interval_asked.then_some(config.poll_interval);
    settings.visibility = match config.aq_visibility {
        Some(AqVisibility::Immediate) => Visibility::Immediate,
        _ => Visibility::OnCommit,
    };
    settings.max_attempts = config.max_attempts;
    settings.backoff = config.backoff;
    settings.pool_size = config.pool_size;
    settings.grantees.clone_from(&config.queue_grantees);
    settings.max_payload_bytes = config.max_payload_bytes;
    settings.telemetry = Telemetry::named(&config.name);
    settings
}

pub(super) async fn open(
    config: &EventsConfig,
    server: &Server,
    flavour: Flavour,
) -> Result<Arc<dyn Backend>> {
    let settings = settings(config, server, flavour);
    let make = config.auto_migrate && !config.aq_queue.contains('{');
    apart(move || {
        let backend = match events_oracle_aq::open(settings.clone()) {
            // Only then, because a queue that a DBA has made is used without the right to make one.
            Err(error) if make && error.kind() == ErrorKind::NotConfigured => {
                migrate::up(&settings)?;
                events_oracle_aq::open(settings)?
            }
            other => other?,
        };
        Ok(Arc::new(backend) as Arc<dyn Backend>)
    })
    .await
}

/// Makes or drops the queue, when the configuration is for one.
pub(super) async fn migrate(
    config: &EventsConfig,
    server: &Server,
    direction: Direction,
) -> Result<()> {
    let Some(flavour) = flavour(config.backend) else {
        return Ok(());
    };
    let settings = settings(config, server, flavour);
    apart(move || match direction {
        Direction::Up => migrate::up(&settings),
        Direction::Down => migrate::down(&settings),
    })
    .await
}

/// What makes and drops the queue, as files; none where the configuration is for none.
pub(super) fn files(config: &EventsConfig, server: &Server) -> Result<Vec<(String, String)>> {
    match flavour(config.backend) {
        Some(flavour) => migrate::files(&settings(config, server, flavour)),
        None => Ok(Vec::new()),
    }
}

/// What [`migrate`] would run.
pub(super) async fn dry_run(
    config: &EventsConfig,
    server: &Server,
    direction: Direction,
) -> Result<String> {
    let Some(flavour) = flavour(config.backend) else {
        return Ok(String::new());
    };
    let settings = settings(config, server, flavour);
    apart(move || migrate::dry_run(&settings, direction)).await
}
