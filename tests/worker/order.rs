//! What a worker is told to do; it travels as JSON in its only argument.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Publish and consume until standard input is closed.
    Work(Work),
    /// Hold a lock of the database, against everybody.
    Hostile(Hostile),
    /// Make the tables, or drop them.
    Migrate(Migrate),
}

/// Publishing and consuming.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Work {
    /// The name of the process in the history.
    pub(crate) name: String,
    /// The database.
    pub(crate) url: String,
    /// Options of the library, as TOML.
    pub(crate) options: String,
    /// Where the history of the process goes; a file of its own.
    pub(crate) history: PathBuf,
    /// On threads that block instead of in tasks.
    pub(crate) blocking: bool,
    /// What is published, by as many tasks as there are entries.
    pub(crate) publish: Vec<Publish>,
    /// What is consumed, by as many tasks as there are entries.
    pub(crate) consume: Vec<Consume>,
}

/// One publisher. Says `published` after the first publish, `refused` and `resumed` around errors
/// that time cures, and `finished` after the last publish.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Publish {
    /// Events of one call.
    pub(crate) batch: u64,
    /// Events in all; without it, until standard input is closed.
    pub(crate) events: Option<u64>,
    /// Between two calls.
    pub(crate) pause: Duration,
}

/// One consumer. Says `received` after the first event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Consume {
    /// As a listener whose handler settles, instead of as a stream.
    pub(crate) listen: bool,
    /// Between the delivery and the verdict.
    #[serde(default)]
    pub(crate) takes: Duration,
    /// Every so many-th event is nacked; 0 is none.
    pub(crate) nack_each: u64,
}

/// A program that does not behave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hostile {
    /// The database file.
    pub(crate) file: PathBuf,
    /// Takes the write lock and holds it for so long, again and again; says `locked` each time.
    /// Without it, reads in one transaction until standard input is closed; says `reading`.
    pub(crate) write_lock: Option<Duration>,
    /// How long others have it before it is taken again.
    pub(crate) pause: Duration,
    /// How often the lock is taken.
    pub(crate) times: u32,
}

/// A migration. Says `ready`, and begins when standard input is closed; then `migrated` with how
/// many migrations it ran.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Migrate {
    /// The database.
    pub(crate) url: String,
    /// Whether the tables are dropped.
    pub(crate) down: bool,
}

/// The channel of all orders.
pub(crate) const CHANNEL: &str = "orders";
