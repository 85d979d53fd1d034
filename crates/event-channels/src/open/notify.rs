//! Native notifications on PostgreSQL, which need no tables.

use std::sync::Arc;

use events_core::telemetry::Telemetry;
use events_core::{Backend, Error, ErrorKind, Op, Result};
use events_pg_native::{NotifyConfig, Publish};
use tokio::runtime::Handle;

use crate::config::{Database, EventsConfig, Server, Way};

pub(super) async fn open(
    config: &EventsConfig,
    server: &Server,
    runtime: &Handle,
) -> Result<Arc<dyn Backend>> {
    if config.spill_table.is_some() {
        return Err(Error::new(ErrorKind::Unsupported, Op::Open).because(
            "spill_table is not part of this version; leave it out, and send a reference to what a notification cannot carry or use backend = \"poll_queue\"",
        ));
    }
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
    Ok(Arc::new(events_pg_native::open(settings, runtime).await?))
}
