//! Connects, checks what cannot be taken for granted, and starts the backend.

use std::sync::Arc;

use events_core::{Error, ErrorKind, Meters, Op, Result};
use tokio::runtime::Handle;

use crate::NotifyBackend;
use crate::backend::version;
use crate::config::{NotifyConfig, Publish};
use crate::connector::Connector;
use crate::error::BACKEND;
use crate::handover::Handover;
use crate::hub::Hub;
use crate::migrate;
use crate::publisher::Publisher;
use crate::sessions::Sessions;
use crate::spill::{Fetcher, SpillTable};

/// Opens native notifications on PostgreSQL; its tasks and connections live on `runtime`.
///
/// It does one round trip through the pool, so a wrong login or an untrusted server is told here.
/// The listening connection is made for the first subscription.
///
/// # Errors
/// `InvalidConfig` for values that cannot work, `Auth`, `Tls`, `Permission`, `NotConfigured` or
/// `Unavailable` for what the server or the way to it says, each with the way out.
pub async fn open(config: NotifyConfig, runtime: &Handle) -> Result<NotifyBackend> {
    config.check().map_err(|error| error.in_backend(BACKEND))?;
    let listen = Connector::new(config.listen.clone()).await?;
    let (pool, connector) = match &config.publish {
        Publish::Pool(pool) => (pool.clone(), None),
        Publish::Endpoint(endpoint, size) => {
            let connector = Connector::new(endpoint.clone()).await?;
            (connector.pool(*size)?, Some(connector))
        }
    };
    let heartbeat = config.heartbeat();
    // Where both take the same way, what is seen of one holds for the other.
    let same = matches!(&config.publish, Publish::Endpoint(endpoint, _) if endpoint.is_same(&config.listen));
    let sessions = Sessions::new(same.then(|| (listen.clone(), heartbeat)));
    let meters = Arc::new(Meters::new(Arc::clone(&config.telemetry), BACKEND));
    let handover = Arc::new(Handover::default());
    let publisher = Arc::new(Publisher::new(
        pool.clone(),
        connector.clone(),
        runtime.clone(),
        Arc::clone(&meters),
        Arc::clone(&handover),
        config
            .spill
            .as_ref()
            .map(|spill| Arc::new(SpillTable::new(spill))),
        sessions,
    ));
    let asking = Arc::clone(&publisher);
    // On the runtime, to which the connection of the pool then belongs.
    let asked = runtime.spawn(async move { version(&asking, Op::Open).await });
    let asked = asked.await.unwrap_or_else(|_| Err(ended()));
    asked.map_err(|error| match &connector {
        Some(connector) => connector.located(error),
        None => error,
    })?;
    if let Some(spill) = config.spill.clone() {
        let asking = Arc::clone(&publisher);
        let checked = runtime.spawn(async move {
            let connection = asking.connection(Op::Open).await?;
            migrate::check(&connection, &spill.table).await
        });
        checked.await.unwrap_or_else(|_| Err(ended()))?;
    }
    let fetcher = publisher.spill.as_ref().map(|table| {
        let (table, publisher) = (Arc::clone(table), Arc::clone(&publisher));
        Arc::new(Fetcher::new(table, publisher, runtime.clone()))
    });
    let hub = Hub::start(
        listen,
        heartbeat,
        Arc::clone(&publisher),
        handover,
        meters.of_backend(),
        runtime,
    );
    Ok(NotifyBackend {
        publisher,
        hub,
        meters,
        fetcher,
        runtime: runtime.clone(),
        own_pool: connector.map(|_| pool),
        config,
    })
}

fn ended() -> Error {
    Error::new(ErrorKind::Closed, Op::Open).because("the runtime has ended")
}
