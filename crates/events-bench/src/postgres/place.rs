//! A database of its own for each measurement, on one server.

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use event_channels::{BackendKind, EventsConfig};
use events_testkit::postgres::{Rows, Server, ServerOptions, query};

use super::raw::Raw;
use super::setting;
use crate::case::{Effort, Result, Setting};
use crate::measured::Tally;
use crate::payload::{Payloads, read};
use crate::place::{Counting, Place, Tables};
use crate::runtime::block_on;

const PAYLOADS: &str = include_str!("sql/payloads.sql");
const LEFT: &str = include_str!("sql/left.sql");
/// Far longer than the slowest drain takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many events one transaction of the preparation stores.
const BATCH: usize = 1000;

/// A database with our tables; dropped with this.
#[derive(Debug)]
pub(crate) struct Database {
    pub(super) url: String,
}

/// Commits are flushed; everything else is as a server is installed.
fn server() -> Result<&'static Server> {
    static SERVER: OnceLock<std::result::Result<Server, String>> = OnceLock::new();
    let started = SERVER.get_or_init(|| {
        let options = ServerOptions::new()
            .setting("fsync = on")
            .setting("synchronous_commit = on")
            .setting("shared_buffers = 128MB");
        Server::start(&options).map_err(|missing| missing.why)
    });
    Ok(started.as_ref().map_err(Clone::clone)?)
}

impl Place for Database {
    fn make(_: &Effort) -> Result<Self> {
        let database = Self {
            url: server()?.database(),
        };
        let config = database.config(&setting(super::POLLED))?;
        block_on(async move { Ok(config.migrate_up().await?) })?;
        database.query(include_str!("sql/register.sql"));
        Ok(database)
    }

    fn url(&self) -> String {
        self.url.clone()
    }

    fn options(&self) -> String {
        format!("backend = '{}'", super::WOKEN)
    }

    fn config(&self, setting: &Setting) -> Result<EventsConfig> {
        let config = EventsConfig::new(&self.url)?
            .backend(BackendKind::parse(setting.backend)?)
            .durability(setting.durability)
            .retention(setting.retention);
        Ok(config)
    }
}

impl Counting for Database {
    fn published(&self, events: usize) -> Result<Tally> {
        let tally = Tally::new(events);
        for row in self.query(PAYLOADS) {
            let text = row.into_iter().next().flatten().unwrap_or_default();
            let (number, _) = read(&text).ok_or("a payload without a number")?;
            tally.note(number);
        }
        Ok(tally)
    }
}

impl Tables for Database {
    fn fill(&self, events: usize, payload_bytes: usize) -> Result<()> {
        let url = self.url.clone();
        let payloads = Payloads::of(payload_bytes);
        block_on(async move {
            let raw = Raw::connect(&url).await?;
            for first in (0..events).step_by(BATCH) {
                let numbers = first..(first + BATCH).min(events);
                let texts = numbers.map(|number| payloads.text(number)).collect();
                raw.insert_many(texts).await?;
            }
            Ok(())
        })?;
        // What was just written is not written a second time while something is measured.
        self.query("VACUUM ANALYZE sqlspec_event_queue");
        self.query("CHECKPOINT");
        Ok(())
    }

    fn check_all_acked(&self) -> Result<()> {
        match self.left() {
            0 => Ok(()),
            left => Err(format!("{left} events were not acknowledged").into()),
        }
    }

    fn wait_until_acked(&self) -> Result<()> {
        let begun = Instant::now();
        while self.left() > 0 {
            if begun.elapsed() > PATIENCE {
                return Err(format!("events were left after {PATIENCE:?}").into());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Database {
    /// Runs statements as the administrator.
    pub(super) fn query(&self, sql: &str) -> Rows {
        query(&self.url, sql)
    }

    fn left(&self) -> u64 {
        let rows = self.query(LEFT);
        let left = rows
            .first()
            .and_then(|row| row.first()?.as_deref()?.parse().ok());
        left.unwrap_or(u64::MAX)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = self.url.rsplit('/').next().unwrap_or_default();
        if let Ok(server) = server() {
            server.query(&format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}
