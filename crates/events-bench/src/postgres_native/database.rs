//! A throwaway server for the suite, and a database of its own for each measurement.

use std::sync::OnceLock;

use event_channels::{BackendKind, EventsConfig, Overflow};
use events_testkit::Missing;
use events_testkit::postgres::{Server, ServerOptions};

use super::bare::Counter;
use crate::case::{Effort, Result, Setting};
use crate::measured::Tally;
use crate::place::{Counting, Place};

static SERVER: OnceLock<std::result::Result<Server, Missing>> = OnceLock::new();

/// The URL of a new database on the server, which is started for the first one.
pub(super) fn new_database() -> Result<String> {
    let options = || {
        ServerOptions::new()
            .setting("fsync = on")
            .setting("shared_buffers = 128MB")
    };
    match SERVER.get_or_init(|| Server::start(&options())) {
        Ok(server) => Ok(server.database()),
        Err(missing) => Err(missing.why.clone().into()),
    }
}

/// What the library is opened with. A consumer that is behind slows the connection down, because
/// a measurement that loses events says nothing.
pub(super) fn config(url: &str) -> Result<EventsConfig> {
    Ok(EventsConfig::new(url)?
        .backend(BackendKind::Notify)
        .listener_overflow(Overflow::Block))
}

/// A database for notifications; nothing is stored in it.
pub(super) struct Database {
    url: String,
}

impl Place for Database {
    fn make(_: &Effort) -> Result<Self> {
        Ok(Self {
            url: new_database()?,
        })
    }

    fn url(&self) -> String {
        self.url.clone()
    }

    fn config(&self, _: &Setting) -> Result<EventsConfig> {
        config(&self.url)
    }
}

/// The same with a bare connection that counts what is sent, on a thread of its own.
pub(super) struct Counted {
    database: Database,
    counter: Counter,
}

impl Place for Counted {
    fn make(effort: &Effort) -> Result<Self> {
        let database = Database::make(effort)?;
        let counter = Counter::start(&database.url)?;
        Ok(Self { database, counter })
    }

    fn url(&self) -> String {
        self.database.url()
    }

    fn config(&self, setting: &Setting) -> Result<EventsConfig> {
        self.database.config(setting)
    }
}

impl Counting for Counted {
    fn published(&self, events: usize) -> Result<Tally> {
        self.counter.tally(events)
    }
}
