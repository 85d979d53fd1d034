//! Where the server is, and how it is used.

use std::time::Duration;

use events_core::{Error, Result};
use events_queue::QueueConfig;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// Settings of a queue on PostgreSQL.
#[derive(Debug, Clone)]
pub struct PostgresConfig {
    /// The server, the database and the login.
    pub server: Config,
    /// What every queue needs to know.
    pub queue: QueueConfig,
    /// Creates or updates the tables when the queue is opened.
    pub auto_migrate: bool,
    /// The most connections of the pool.
    pub pool_size: usize,
    /// How long an operation may take, its wait for a connection included.
    pub timeout: Duration,
}

impl PostgresConfig {
    /// A queue on the server that this URL or list of `key=value` names, with defaults for
    /// everything else.
    ///
    /// # Errors
    /// `InvalidConfig` for text that is neither; it is not shown, because it may hold a password.
    pub fn new(server: &str) -> Result<Self> {
        let server = server.parse().map_err(|_| {
            Error::invalid_config(
                "the connection string of PostgreSQL is not understood; write postgres://user@host/database",
            )
        })?;
        Ok(Self {
            server,
            queue: QueueConfig {
                poll_interval: Duration::from_millis(500),
                ..QueueConfig::default()
            },
            auto_migrate: false,
            pool_size: 8,
            timeout: Duration::from_secs(30),
        })
    }

    /// Refuses values that cannot work. Connections are not encrypted yet, so they leave this
    /// machine only where the configuration says that this is wanted.
    pub(crate) fn check(&self) -> Result<()> {
        self.queue.check()?;
        let mut hosts = self.server.get_hosts().iter();
        if self.server.get_ssl_mode() != SslMode::Disable && !hosts.all(is_here) {
            return Err(Error::invalid_config(
                "connections to PostgreSQL are not encrypted in this version; use a server on this machine, or say sslmode=disable",
            ));
        }
        if self.pool_size == 0 {
            return Err(Error::invalid_config(
                "the pool needs at least 1 connection, not 0",
            ));
        }
        Ok(())
    }
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_the_machine_in_the_clear_unless_that_is_said() {
        let check = |url: &str| PostgresConfig::new(url).unwrap().check();
        for good in [
            "postgres://localhost/db",
            "postgres://127.0.0.1/db",
            "host=/tmp",
            "postgres://db.example/x?sslmode=disable",
        ] {
            check(good).unwrap();
        }
        let error = check("postgres://u:canary@db.example/x").unwrap_err();
        assert!(error.to_string().contains("sslmode=disable"), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }

    #[test]
    fn a_bad_string_is_not_shown() {
        let error = PostgresConfig::new("postgres://u:canary@h:x/d").unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("canary"),
            "{error:?}"
        );
    }
}
