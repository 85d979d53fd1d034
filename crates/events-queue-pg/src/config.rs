//! Where the server is, and how it is used.

use std::time::Duration;

use events_core::{Error, Result};
use events_pg_native::link::Heartbeat;
use events_pg_native::{Endpoint, Publish};
use events_queue::QueueConfig;

/// Settings of a queue on PostgreSQL.
#[derive(Debug, Clone)]
pub struct PostgresConfig {
    /// The server, the database and the login. It must lead to the server itself or to a proxy
    /// that pools by session.
    pub endpoint: Endpoint,
    /// Another way to publish: a pool of the application, or a proxy that pools by transaction.
    pub publish: Option<Publish>,
    /// What every queue needs to know.
    pub queue: QueueConfig,
    /// Creates or updates the tables when the queue is opened.
    pub auto_migrate: bool,
    /// The most connections of the pool.
    pub pool_size: usize,
    /// How long an operation may take, its wait for a connection and its repeats included. The
    /// server ends a statement, or a transaction that stands still, after this time too.
    pub timeout: Duration,
    /// Consumers are woken by NOTIFY, over one connection more that is watched like this.
    pub notify: Option<Heartbeat>,
}

impl PostgresConfig {
    /// A queue on this server, with defaults for everything else.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            publish: None,
            queue: QueueConfig {
                poll_interval: Duration::from_millis(500),
                ..QueueConfig::default()
            },
            auto_migrate: false,
            pool_size: 8,
            timeout: Duration::from_secs(30),
            notify: None,
        }
    }

    /// Refuses values that cannot work.
    pub(crate) fn check(&self) -> Result<()> {
        self.queue.check()?;
        if let Some(heartbeat) = &self.notify {
            heartbeat.check()?;
        }
        if self.pool_size == 0 || matches!(self.publish, Some(Publish::Endpoint(_, 0))) {
            return Err(Error::invalid_config("pool_size must be at least 1, not 0"));
        }
        // The server counts milliseconds in 31 bits, and takes zero for no limit.
        let most = Duration::from_millis(i32::MAX.unsigned_abs().into());
        if !(Duration::from_millis(1)..=most).contains(&self.timeout) {
            let why = format!(
                "timeout must be from 1 ms to 24 days, not {:?}",
                self.timeout
            );
            return Err(Error::invalid_config(why));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_that_cannot_be_told_to_the_server_is_refused() {
        let endpoint = Endpoint::parse("postgres://localhost/events").unwrap();
        let mut config = PostgresConfig::new(endpoint);
        assert!(config.check().is_ok());
        for bad in [Duration::ZERO, Duration::MAX] {
            config.timeout = bad;
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains("timeout"), "{error}");
        }
    }

    #[test]
    fn a_heartbeat_that_cannot_work_is_refused() {
        let endpoint = Endpoint::parse("postgres://localhost/events").unwrap();
        let check = |interval, deadline| {
            let mut config = PostgresConfig::new(endpoint.clone());
            config.notify = Some(Heartbeat { interval, deadline });
            config.check()
        };
        let good = Duration::from_secs(5);
        assert!(check(good, good).is_ok());
        for bad in [Duration::ZERO, Duration::MAX] {
            let error = check(bad, good).unwrap_err().to_string();
            assert!(error.contains("heartbeat_interval"), "{error}");
            let error = check(good, bad).unwrap_err().to_string();
            assert!(error.contains("heartbeat_deadline"), "{error}");
        }
    }
}
