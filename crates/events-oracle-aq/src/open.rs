//! Logs in, looks at the queue, and starts the backend.

use std::sync::Arc;

use events_core::{ChannelName, Op, Result};
use events_oracle_session::{Session, Workers};

use crate::AqBackend;
use crate::config::AqConfig;
use crate::context::Context;
use crate::sql;

/// Opens a backend on Oracle's queues. Blocks while it logs in.
///
/// A queue for each channel is looked at when the channel is first used.
///
/// # Errors
/// `NotConfigured` without Oracle's client library, and for a queue that is missing, stopped or not
/// granted; `InvalidConfig` for values that cannot work and a queue that carries something else;
/// `Auth`, `Permission` and `Unavailable`, each with the way out.
pub fn open(config: AqConfig) -> Result<AqBackend> {
    let context = Arc::new(Context::new(config)?);
    let name = context.name;
    let (server, timeout) = (context.config.server.clone(), context.config.timeout);
    let connect = move || Session::connect(&server, name, Some(timeout));
    let session = connect()?;
    // The catalogue shows a queue to its owner also where the package is not granted.
    session.execute(Op::Open, sql::GRANTED, &[])?;
    let queue = if context.queue_name.is_template() {
        None
    } else {
        // The name does not depend on the channel.
        let any = ChannelName::new("any")?;
        let found = context.queue(&session, Op::Open, &any);
        Some(found.map_err(|error| error.in_backend(name))?)
    };
    let database = format!("Oracle {}", session.version());
    let workers = Workers::new(name, context.config.pool_size, session, connect);
    Ok(AqBackend::new(context, workers, queue.as_ref(), database))
}
