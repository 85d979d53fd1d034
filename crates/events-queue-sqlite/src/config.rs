//! Where the database is, and how it is opened.

use std::path::PathBuf;
use std::time::Duration;

use events_core::{Error, Result};
use events_queue::{Clock, QueueConfig};

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file; it is created when it does not exist.
    File(PathBuf),
    /// A database in memory, shared by every handle and thread of the channel, gone with it.
    Memory,
}

/// Settings of a queue on SQLite.
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    /// Where the database is.
    pub location: Location,
    /// What every queue needs to know.
    pub queue: QueueConfig,
    /// Creates or updates the tables when the database is opened.
    pub auto_migrate: bool,
    /// How long another process may hold the write lock before a call answers `Busy`.
    pub busy_timeout: Duration,
    /// How often it is looked for commits that woke nobody: those of other programs, and those of
    /// a process that died before it could ring. Each look costs some microseconds.
    pub floor: Duration,
    /// The clock for leases and due times; a test may move it.
    pub clock: Clock,
}

impl SqliteConfig {
    /// A queue in this file, with defaults for everything else.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::at(Location::File(path.into()))
    }

    /// A queue in memory, with defaults for everything else.
    #[must_use]
    pub fn memory() -> Self {
        Self::at(Location::Memory)
    }

    fn at(location: Location) -> Self {
        Self {
            location,
            queue: QueueConfig::default(),
            auto_migrate: true,
            busy_timeout: Duration::from_secs(10),
            floor: Duration::from_millis(100),
            clock: Clock::system(),
        }
    }

    /// Refuses values that cannot work.
    pub(crate) fn check(&self) -> Result<()> {
        self.queue.check()?;
        if self.floor.is_zero() {
            return Err(Error::invalid_config(
                "floor must be greater than zero, not 0ns",
            ));
        }
        match self.queue.table.schema() {
            None | Some("main") => Ok(()),
            Some(schema) => Err(Error::invalid_config(format!(
                "queue_table {} names schema {schema}; SQLite knows only main, so leave the schema out",
                self.queue.table
            ))),
        }
    }
}
