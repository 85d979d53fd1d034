//! A database file of its own for each measurement.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use event_channels::{Durability, EventsConfig};
use rusqlite::params;
use tempfile::TempDir;

use super::raw::{self, Raw, now_micros};
use crate::case::{Effort, Result, Setting};
use crate::measured::Tally;
use crate::payload::{Payloads, read};
use crate::place::{Counting, Place, Tables};
use crate::runtime::block_on;

const PAYLOADS: &str = include_str!("sql/payloads.sql");
const FILL: &str = include_str!("sql/fill.sql");
const UNFINISHED: &str = include_str!("sql/unfinished.sql");
const ANYTHING_LEFT: &str = include_str!("sql/anything_left.sql");
/// Far longer than the slowest drain takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many events one transaction of the preparation stores.
const BATCH: usize = 1000;
const HOUR_MICROS: i64 = 3_600_000_000;

/// A file with our tables; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct File {
    folder: TempDir,
}

/// Where rows stand that only have to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    Delayed,
    Leased,
    Acked,
}

impl Place for File {
    fn make(effort: &Effort) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("events-bench-")
            .tempdir_in(&effort.folder)?;
        let file = Self { folder };
        let config = file.config(&Setting::default())?;
        block_on(async move { Ok(config.migrate_up().await?) })?;
        raw::register(&raw::connect(&file.path(), Durability::Process)?)?;
        Ok(file)
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.path().display())
    }

    fn config(&self, setting: &Setting) -> Result<EventsConfig> {
        let config = EventsConfig::new(self.url())?
            .durability(setting.durability)
            .retention(setting.retention);
        Ok(config)
    }
}

impl Counting for File {
    fn published(&self, events: usize) -> Result<Tally> {
        let connection = raw::connect(&self.path(), Durability::Process)?;
        let tally = Tally::new(events);
        let mut statement = connection.prepare(PAYLOADS)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let text = row.get_ref(0)?.as_str()?;
            let (number, _) = read(text).ok_or("a payload without a number")?;
            tally.note(number);
        }
        Ok(tally)
    }
}

impl Tables for File {
    fn fill(&self, events: usize, payload_bytes: usize) -> Result<()> {
        let connection = raw::connect(&self.path(), Durability::Process)?;
        let payloads = Payloads::of(payload_bytes);
        let mut raw = Raw::prepare(&connection)?;
        for first in (0..events).step_by(BATCH) {
            let numbers = first..(first + BATCH).min(events);
            raw.insert_all(numbers.map(|number| payloads.text(number)))?;
        }
        Ok(())
    }

    fn check_all_acked(&self) -> Result<()> {
        let connection = raw::connect(&self.path(), Durability::Process)?;
        let queue_id = raw::register(&connection)?;
        let left: i64 = connection.query_row(UNFINISHED, [queue_id], |row| row.get(0))?;
        if left == 0 {
            Ok(())
        } else {
            Err(format!("{left} events were not acknowledged").into())
        }
    }

    fn wait_until_acked(&self) -> Result<()> {
        let connection = raw::connect(&self.path(), Durability::Process)?;
        let queue_id = raw::register(&connection)?;
        let mut left = connection.prepare(ANYTHING_LEFT)?;
        let begun = Instant::now();
        while left.query_row([queue_id], |row| row.get(0))? {
            if begun.elapsed() > PATIENCE {
                return Err(format!("events were left after {PATIENCE:?}").into());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl File {
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("bench.db")
    }

    /// Stores rows of one state, which no case takes out of it.
    pub(crate) fn fill_state(&self, rows: usize, state: State) -> Result<()> {
        let connection = raw::connect(&self.path(), Durability::Process)?;
        let queue_id = raw::register(&connection)?;
        let (status, at) = match state {
            State::Ready => (10, now_micros()),
            State::Delayed => (11, now_micros() + HOUR_MICROS),
            State::Leased => (13, now_micros() + HOUR_MICROS),
            State::Acked => (14, now_micros()),
        };
        let rows = i64::try_from(rows)?;
        connection.execute(FILL, params![rows, queue_id, status, at, now_micros()])?;
        let checkpointed = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
            row.get::<_, i64>(0)
        })?;
        if checkpointed == 0 {
            Ok(())
        } else {
            Err("the write-ahead log could not be emptied".into())
        }
    }
}
