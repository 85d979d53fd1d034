//! What only PostgreSQL has: endpoints with a TLS connector of your own, and pools.
//!
//! A URL is enough for most programs. To publish through a pool that you have already:
//!
//! ```no_run
//! use event_channels::postgres::{Endpoint, Pool};
//! use event_channels::{EventChannel, EventsConfig};
//!
//! # async fn example(pool: Pool) -> event_channels::Result<()> {
//! let listen = Endpoint::parse("postgres://app@db.example.org/app")?;
//! let channel = EventChannel::open(EventsConfig::from_pool(pool, listen)).await?;
//! # Ok(()) }
//! ```

use std::any::Any;

use events_core::{Error, ErrorKind, EventId, NewEvent, Op, Result};
use events_pg_native::NotifyBackend;
pub use events_pg_native::{
    Endpoint, OpenTransaction, Pool, TlsConnector, TransactionalPublish, Wake, deadpool_postgres,
    tokio_postgres,
};
#[cfg(feature = "queue-pg")]
use events_queue::QueueBackend;
#[cfg(feature = "queue-pg")]
use events_queue_pg::PostgresStore;

use crate::config::{Database, Server};
use crate::{EventChannel, EventsConfig};

impl EventsConfig {
    /// The defaults, for a PostgreSQL server that is reached as the endpoint says.
    #[must_use]
    pub fn from_endpoint(endpoint: Endpoint) -> Self {
        Self::of(Database::Postgres(Server::at(endpoint, None)))
    }

    /// The defaults, for a PostgreSQL server that events are published to through a pool of the
    /// application. LISTEN needs a connection of its own, which is made to `listen`; it must lead
    /// to the same database, past any proxy that pools by transaction. The pool is not closed.
    #[must_use]
    pub fn from_pool(pool: Pool, listen: Endpoint) -> Self {
        Self::of(Database::Postgres(Server::at(listen, Some(pool))))
    }
}

impl TransactionalPublish for EventChannel {
    async fn publish_many_in<T: OpenTransaction>(
        &self,
        tx: &T,
        events: Vec<NewEvent>,
    ) -> Result<(Vec<EventId>, Wake)> {
        let backend: &dyn Any = &*self.shared().backend;
        if let Some(notify) = backend.downcast_ref::<NotifyBackend>() {
            return notify.publish_many_in(tx, events).await;
        }
        #[cfg(feature = "queue-pg")]
        if let Some(queue) = backend.downcast_ref::<QueueBackend<PostgresStore>>() {
            return events_queue_pg::publish_many_in(queue, tx, events).await;
        }
        Err(Error::new(ErrorKind::Unsupported, Op::Publish)
            .because("this channel is not on PostgreSQL")
            .in_backend(self.backend_name()))
    }
}
