//! Where notifications go through, and how consumers are served.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Pool;
use events_core::telemetry::Telemetry;
use events_core::{Error, Overflow, Result};

use crate::session::Heartbeat;
use crate::{Endpoint, Spill};

/// Settings of native notifications on PostgreSQL.
#[derive(Debug, Clone)]
pub struct NotifyConfig {
    /// Where events are published.
    pub publish: Publish,
    /// Where LISTEN runs, on one connection of its own. It must be the same database, and no
    /// transaction-pooling proxy may stand between.
    pub listen: Endpoint,
    /// How often the listening connection proves that it lives.
    pub heartbeat_interval: Duration,
    /// How long the proof may take before the connection counts as lost.
    pub heartbeat_deadline: Duration,
    /// How many events wait for a slow consumer.
    pub queue_capacity: usize,
    /// What happens when that many wait.
    pub overflow: Overflow,
    /// The largest payload in bytes of JSON. A notification carries less, see `spill`.
    pub max_payload_bytes: usize,
    /// Where events go that a notification cannot carry; without it they are refused.
    pub spill: Option<Spill>,
    /// Where counts go.
    pub telemetry: Arc<Telemetry>,
}

/// What events are published through.
#[derive(Clone)]
pub enum Publish {
    /// A pool of at most this many connections, made and closed by the backend.
    Endpoint(Endpoint, usize),
    /// A pool of the application, which stays open.
    Pool(Pool),
}

impl NotifyConfig {
    /// Publishes and listens on this server, with defaults for everything else.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self::publishing(Publish::Endpoint(endpoint.clone(), 8), endpoint)
    }

    /// Publishes through a pool of the application, and listens on `listen`.
    #[must_use]
    pub fn from_pool(pool: Pool, listen: Endpoint) -> Self {
        Self::publishing(Publish::Pool(pool), listen)
    }

    fn publishing(publish: Publish, listen: Endpoint) -> Self {
        Self {
            publish,
            listen,
            heartbeat_interval: Duration::from_secs(10),
            heartbeat_deadline: Duration::from_secs(5),
            queue_capacity: 10_000,
            overflow: Overflow::DropOldest,
            max_payload_bytes: 1024 * 1024,
            spill: None,
            telemetry: Telemetry::named("default"),
        }
    }

    /// How the connection that listens is watched.
    pub(crate) fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            interval: self.heartbeat_interval,
            deadline: self.heartbeat_deadline,
        }
    }

    /// Refuses values that cannot work.
    pub(crate) fn check(&self) -> Result<()> {
        self.heartbeat().check()?;
        let refused = if self.queue_capacity == 0 {
            "listener_queue_capacity must be a positive whole number, not 0".to_owned()
        } else if matches!(self.publish, Publish::Endpoint(_, 0)) {
            "pool_size must be at least 1, not 0".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::invalid_config(refused))
    }
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(endpoint, size) => write!(f, "{endpoint:?} by {size} connections"),
            // The pool's own text holds a driver's configuration.
            Self::Pool(_) => f.write_str("a pool of the application"),
        }
    }
}
