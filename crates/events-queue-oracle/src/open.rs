//! Logs in, checks what cannot be taken for granted, and starts the backend.

use events_core::Result;
use events_oracle_session::{Session, Workers};
use events_queue::QueueBackend;
use tokio::runtime::Handle;

use crate::database::Database;
use crate::error::BACKEND;
use crate::{OracleConfig, OracleStore, migrate};

/// Opens a queue on Oracle; its background tasks run on `runtime`. Blocks while it logs in.
///
/// # Errors
/// `NotConfigured` without Oracle's client library, `InvalidConfig`, `Auth`, `Permission`,
/// `Unavailable`, `SchemaMissing` or `SchemaNewer`, each with the way out.
pub fn open(config: OracleConfig, runtime: &Handle) -> Result<QueueBackend<OracleStore>> {
    config.check()?;
    let session = connect(&config)?;
    if config.auto_migrate {
        migrate::up(&config)?;
    } else {
        migrate::check(&session, &config.queue.table)?;
    }
    let (server, timeout) = (config.server.clone(), config.timeout);
    let again = move || Session::connect(&server, BACKEND, Some(timeout));
    let workers = Workers::new(BACKEND, config.pool_size, session, again);
    let store = OracleStore::new(Database::new(config.queue.clone()), workers);
    QueueBackend::start(store, config.queue, runtime)
}

/// A session on a server that can hold the queue; the tables are not looked at.
pub(crate) fn connect(config: &OracleConfig) -> Result<Session> {
    let session = Session::connect(&config.server, BACKEND, Some(config.timeout))?;
    config.check_for(session.version())?;
    Ok(session)
}
