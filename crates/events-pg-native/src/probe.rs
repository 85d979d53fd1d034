//! Whether notifications arrive at all, asked once.
//!
//! A proxy that pools connections by transaction answers LISTEN like a server, on a connection
//! that it then lends to others; notifications go nowhere. Only sending one tells.

use std::time::Duration;

use events_core::{ChannelName, Error, ErrorKind, Op, Result};
use tokio_postgres::types::{ToSql, Type};

use crate::connector::Connector;
use crate::error::{BACKEND, driver};
use crate::publisher::Publisher;
use crate::session::{Heartbeat, Session};
use crate::sql::NOTIFY;

/// How long a notification may be on its way.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long sending it may take; the pool may have to make a connection.
const SENDING: Duration = Duration::from_secs(5);

/// Opens a session, and proves that what is published arrives on it. The channel of the proof is
/// listened to by nobody afterwards, so the hub ends that.
pub(crate) async fn open(
    connector: &Connector,
    heartbeat: Heartbeat,
    mut channels: Vec<ChannelName>,
    publisher: &Publisher,
) -> Result<Session> {
    let probe = ChannelName::new(format!("_ec_probe_{:016x}", fastrand::u64(..)))?;
    channels.push(probe.clone());
    let mut session = Session::open(connector, heartbeat, channels).await?;
    let sent = tokio::time::timeout(SENDING, send(publisher, &probe)).await;
    sent.unwrap_or_else(|_| Err(unsent()))?;
    match tokio::time::timeout(PATIENCE, session.arrival(&probe)).await {
        Ok(arrived) => arrived.map(|()| session),
        Err(_) => Err(Error::new(ErrorKind::NotConfigured, Op::Subscribe)
            .because(format!(
                "a notification did not arrive at {} within {PATIENCE:?}; a proxy that pools by transaction stands between, or this is another database: set direct_url to one that leads to the server itself",
                connector.shown()
            ))
            .in_backend(BACKEND)),
    }
}

async fn send(publisher: &Publisher, probe: &ChannelName) -> Result<()> {
    let connection = publisher.connection(Op::Subscribe).await?;
    let name = probe.as_str();
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&name, Type::TEXT), (&"", Type::TEXT)];
    let sent = connection.execute_typed(NOTIFY, &parameters).await;
    sent.map(drop).map_err(|error| driver(Op::Subscribe, error))
}

fn unsent() -> Error {
    Error::new(ErrorKind::Busy, Op::Subscribe)
        .because(format!(
            "no notification could be sent within {SENDING:?} to prove that any arrives; use a larger pool, or look at what keeps the server busy"
        ))
        .in_backend(BACKEND)
}
