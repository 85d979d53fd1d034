//! Upkeep: copies the write-ahead log into the database and gives free pages back, on a thread and
//! a connection of its own, so that no publish pays for it.
//!
//! A copy (a passive checkpoint) disturbs nobody. But under load the log is never copied to its
//! end, and only then may it begin anew. So beyond a length the writer is stopped for a moment,
//! what little is left is copied, and the log begins anew.
//!
//! Each process does this for what it commits itself. SQLite lets one connection copy at a time
//! and tells the others so; they come back when they have committed more.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use events_core::{Op, Result};
use rusqlite::Connection;

use crate::SqliteConfig;
use crate::error::sqlite;
use crate::job::{Kind, Terms};
use crate::log::{Checkpoint, LogGauge};
use crate::open::connect_beside;
use crate::writer::Shared;

/// No commit for this long, and everything is copied.
const IDLE: Duration = Duration::from_secs(1);
/// While somebody reads one old state on and on, attempts come after doubling pauses up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long the writer is stopped at most, and other processes' readers and writers waited for.
const PATIENCE: Duration = Duration::from_millis(50);
/// Free pages are given back when they are so many, and a quarter of the file.
const MANY_FREE_PAGES: i64 = 4096;
/// Pages of one transaction that gives pages back.
const VACUUM_PAGES: u32 = 200;

const COPY: &str = "PRAGMA wal_checkpoint(PASSIVE)";
const BEGIN_ANEW: &str = "PRAGMA wal_checkpoint(RESTART)";
const CUT_OFF: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// The thread and what ends it.
#[derive(Debug)]
pub(crate) struct Upkeep {
    log: Arc<LogGauge>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    pub(crate) fn start(
        writer: &Arc<Shared>,
        log: Arc<LogGauge>,
        config: SqliteConfig,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let keeper = Keeper {
            writer: Arc::downgrade(writer),
            log: Arc::clone(&log),
            stop: Arc::clone(&stop),
            config,
            connection: None,
            healthy: true,
        };
        let thread = thread::Builder::new()
            .name("events-sqlite-upkeep".to_owned())
            .spawn(move || keeper.run())?;
        log.set_waiter(thread.thread());
        Ok(Self {
            log,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Upkeep {
    /// Ends the thread and closes its connection.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.log.call();
        // The thread itself may be the last to hold the writer.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// What the thread owns.
struct Keeper {
    writer: Weak<Shared>,
    log: Arc<LogGauge>,
    stop: Arc<AtomicBool>,
    config: SqliteConfig,
    /// Made when it is needed first.
    connection: Option<Connection>,
    healthy: bool,
}

impl Keeper {
    fn run(mut self) {
        let mut seen = self.log.commits();
        let mut seen_at = Instant::now();
        let mut settled = seen;
        let mut pause = IDLE;
        while !self.stop.load(Ordering::SeqCst) {
            let commits = self.log.commits();
            if commits != seen {
                seen = commits;
                seen_at = Instant::now();
                pause = IDLE;
            }
            if self.log.became_long() && self.attempt(Self::shorten).is_none() {
                self.log.not_dealt_with();
            }
            if commits != settled && seen_at.elapsed() >= pause {
                if self.attempt(Self::settle) == Some(true) {
                    settled = commits;
                } else {
                    seen_at = Instant::now();
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            let rests = commits == settled;
            self.log.wait(commits, (!rests).then_some(pause));
        }
    }

    /// Does work that may fail; a failure is told once.
    fn attempt(&mut self, work: fn(&mut Self) -> Result<bool>) -> Option<bool> {
        match work(self) {
            Ok(done) => {
                self.healthy = true;
                Some(done)
            }
            Err(error) => {
                if std::mem::replace(&mut self.healthy, false) {
                    tracing::warn!(%error, "the write-ahead log was not copied, and grows; it is tried again");
                }
                self.connection = None;
                None
            }
        }
    }

    /// For a log that has grown: copies it, and lets it begin anew if it is over the limit.
    fn shorten(&mut self) -> Result<bool> {
        let Some(found) = Checkpoint::run(self.connection()?, COPY)? else {
            self.log.not_dealt_with();
            return Ok(false);
        };
        self.log.dealt_with(found);
        if !self.log.is_over_limit(found) {
            return Ok(true);
        }
        // Waiting for a reader would only hold up the writer.
        if self.log.is_held_back(found) {
            tracing::warn!(
                pages = found.pages,
                "a program reads one old state of the database on and on; until it ends, the write-ahead log grows"
            );
            return Ok(false);
        }
        self.begin_anew(BEGIN_ANEW)
    }

    /// For a database at rest: copies everything, gives free pages back and cuts a long log off.
    /// Answers whether nothing is left to do.
    fn settle(&mut self) -> Result<bool> {
        while self.has_many_free_pages()? {
            if !self.give_back_pages() {
                return Ok(false);
            }
        }
        let Some(found) = Checkpoint::run(self.connection()?, COPY)? else {
            return Ok(false);
        };
        self.log.dealt_with(found);
        match found.left() {
            0 if self.log.is_over_limit(found) => self.begin_anew(CUT_OFF),
            left => Ok(left == 0),
        }
    }

    /// Stops our own writer for a moment, so that the log is copied to its end; answers whether
    /// nobody stood in the way.
    fn begin_anew(&mut self, pragma: &str) -> Result<bool> {
        let Some(writer) = self.writer.upgrade() else {
            return Ok(false);
        };
        let log = Arc::clone(&self.log);
        let connection = self.connection()?;
        let began = writer.while_paused(PATIENCE, || {
            let found = Checkpoint::run(connection, pragma)?;
            let began = found.is_some_and(|found| !found.blocked);
            if began {
                log.begins_anew();
            }
            Ok(began)
        });
        began.unwrap_or(Ok(false))
    }

    /// Whether many pages of the file hold nothing, and SQLite can give them back one by one.
    fn has_many_free_pages(&mut self) -> Result<bool> {
        const INCREMENTAL: i64 = 2;
        let connection = self.connection()?;
        if number(connection, "PRAGMA auto_vacuum")? != INCREMENTAL {
            return Ok(false);
        }
        let free = number(connection, "PRAGMA freelist_count")?;
        Ok(free >= MANY_FREE_PAGES && free * 4 >= number(connection, "PRAGMA page_count")?)
    }

    /// Gives some free pages back, in a transaction of the writer; answers whether nobody else
    /// wants the database.
    fn give_back_pages(&self) -> bool {
        let Some(writer) = self.writer.upgrade() else {
            return false;
        };
        let before = self.log.commits();
        let terms = Terms::new(Kind::CleanUp, Op::CleanUp);
        let given = writer.submit(terms, |db| db.give_back_pages(VACUUM_PAGES));
        match given.wait() {
            Ok(()) => self.log.commits() == before + 1 && !self.stop.load(Ordering::SeqCst),
            Err(error) => {
                tracing::debug!(%error, "free pages were not given back");
                false
            }
        }
    }

    fn connection(&mut self) -> Result<&Connection> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none => Ok(none.insert(connect_beside(&self.config, PATIENCE)?)),
        }
    }
}

fn number(connection: &Connection, pragma: &str) -> Result<i64> {
    connection
        .query_row(pragma, [], |row| row.get(0))
        .map_err(|e| sqlite(Op::CleanUp, e))
}
