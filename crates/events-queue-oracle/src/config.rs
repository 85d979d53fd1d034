//! Where the server is, and how it is used.

use std::time::Duration;

use events_core::{Error, Result};
use events_oracle_session::{Server, ServerVersion};
use events_queue::QueueConfig;

/// What our names add to that of the table.
const AFFIXES: usize = 11;

/// Settings of a queue on Oracle.
#[derive(Debug, Clone)]
pub struct OracleConfig {
    /// The server and the login.
    pub server: Server,
    /// What every queue needs to know.
    pub queue: QueueConfig,
    /// Creates or updates the tables when the queue is opened.
    pub auto_migrate: bool,
    /// Puts the scalar columns of the queue table into the column store, where the server has one.
    pub in_memory: bool,
    /// The most sessions.
    pub pool_size: usize,
    /// How long one call of the server may take.
    pub timeout: Duration,
}

impl OracleConfig {
    /// A queue on this server, with defaults for everything else.
    #[must_use]
    pub fn new(server: Server) -> Self {
        Self {
            server,
            queue: QueueConfig::default(),
            auto_migrate: false,
            in_memory: false,
            pool_size: 8,
            timeout: Duration::from_secs(30),
        }
    }

    /// Refuses values that cannot work.
    pub(crate) fn check(&self) -> Result<()> {
        self.queue.check()?;
        if self.pool_size == 0 {
            return Err(Error::invalid_config(
                "the pool needs at least 1 session, not 0",
            ));
        }
        if self.timeout < Duration::from_millis(1) {
            return Err(Error::invalid_config(format!(
                "a call may take at least a millisecond, not {:?}",
                self.timeout
            )));
        }
        Ok(())
    }

    /// Refuses what this server cannot do.
    pub(crate) fn check_for(&self, version: ServerVersion) -> Result<()> {
        if !version.has_identity() {
            return Err(Error::invalid_config(format!(
                "the server is Oracle {version}; the queue needs 12.1 or newer"
            )));
        }
        let most = version.max_name_bytes() - AFFIXES;
        let base = self.queue.table.base();
        if base.len() > most {
            return Err(Error::invalid_config(format!(
                "queue_table {base:?} is {} bytes long; Oracle {version} allows {most}, because names of indexes add {AFFIXES} to it",
                base.len()
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use events_core::TableName;

    use super::*;

    fn config(table: &str) -> OracleConfig {
        let mut config = OracleConfig::new(Server::parse("oracle://u@h/s").unwrap());
        config.queue.table = TableName::new(table).unwrap();
        config
    }

    #[test]
    fn a_name_must_fit_the_server() {
        let (old, new) = (ServerVersion::new(12, 1, 0), ServerVersion::new(12, 2, 0));
        let (fits, long) = ("t".repeat(19), "t".repeat(20));
        config(&fits).check_for(old).unwrap();
        config(&long).check_for(new).unwrap();
        let error = config(&long).check_for(old).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("20 bytes long; Oracle 12.1.0 allows 19"),
            "{error}"
        );
        config(TableName::DEFAULT).check_for(old).unwrap();
        let error = config(&fits)
            .check_for(ServerVersion::new(11, 2, 0))
            .unwrap_err();
        assert!(error.to_string().contains("12.1 or newer"), "{error}");
    }
}
