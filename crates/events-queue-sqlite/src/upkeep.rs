//! Upkeep: copies the write-ahead log into the database and gives free pages back, on a thread and
//! a connection of its own, so that no publish pays for it.
//!
//! A copy (a passive checkpoint) disturbs nobody. But under load the log is never copied to its
//! end, and only then may it begin anew: writing over what is there is flushed in half the time
//! that appending takes. So when little is left to copy the writer is stopped for a moment, the
//! rest is copied, and its next commit is the first of the log again.
//!
//! Each process does this for what it commits itself. SQLite lets one connection copy at a time
//! and tells the others so; they come back when they have committed more.

mod rest;
mod room;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use events_core::{ErrorKind, Op, Result, block_on_until};
use rusqlite::Connection;

use self::rest::Rest;
use crate::SqliteConfig;
use crate::error::sqlite;
use crate::identity::Identity;
use crate::job::{Kind, Terms};
use crate::log::{Checkpoint, LogGauge, ROOM_BYTES};
use crate::open::connect_beside;
use crate::writer::Shared;

/// How long other processes' readers and writers are waited for while the writer is stopped.
const PATIENCE: Duration = Duration::from_millis(50);
/// The writer is stopped when no more pages than this are left to copy, about a megabyte.
const FEW_PAGES: u32 = 256;
/// How often it is tried to come that near to a writer that goes on.
const MOST_COPIES: u32 = 5;
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
        identity: Option<Identity>,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let keeper = Keeper {
            writer: Arc::downgrade(writer),
            log: Arc::clone(&log),
            stop: Arc::clone(&stop),
            config,
            identity,
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
    /// The file of the writer; nothing is written to another one.
    identity: Option<Identity>,
    /// Made when it is needed first.
    connection: Option<Connection>,
    healthy: bool,
}

impl Keeper {
    fn run(mut self) {
        let mut rest = Rest::new(self.log.commits());
        while !self.stopped() {
            let commits = self.log.commits();
            rest.saw(commits, Instant::now());
            if self.log.became_long() {
                if let Some(bytes) = self.log.wants_room() {
                    self.make_room(bytes);
                } else if self.attempt(Self::shorten).is_none() {
                    self.log.not_dealt_with();
                }
            }
            if rest.wait(Instant::now()) == Some(Duration::ZERO) {
                let done = self.attempt(Self::settle) == Some(true);
                rest.tried(commits, done, Instant::now());
            }
            // A call to stop may have ended another wait of this thread.
            if self.stopped() {
                return;
            }
            self.log.wait(commits, rest.wait(Instant::now()));
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
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

    /// For a log that is new and will be long. It does as well without.
    fn make_room(&mut self, bytes: u32) {
        let made = self.try_make_room(bytes);
        if let Err(error) = &made {
            tracing::debug!(%error, "no room was made for the write-ahead log");
        }
        let later = made.is_err_and(|error| error.kind() == ErrorKind::Busy);
        self.log.room_was_made(!later);
    }

    fn try_make_room(&mut self, bytes: u32) -> Result<()> {
        let (Some(mut identity), Some(writer)) = (self.identity.clone(), self.writer.upgrade())
        else {
            return Ok(());
        };
        if room::is_there(identity.path(), ROOM_BYTES) {
            return Ok(());
        }
        let stop = Arc::clone(&self.stop);
        let connection = self.connection()?;
        // It would wait for the lock longer than this takes.
        let made = writer.while_paused(&stop, || {
            identity.check_now()?;
            room::make(connection, bytes, PATIENCE)
        });
        made.unwrap_or(Ok(()))
    }

    /// For a log that has grown: copies it, and lets it begin anew.
    fn shorten(&mut self) -> Result<bool> {
        let Some(found) = self.copy()? else {
            self.log.not_dealt_with();
            return Ok(false);
        };
        self.log.dealt_with(found);
        let over_limit = self.log.is_over_limit(found);
        // Waiting for a reader would only hold up the writer.
        if self.log.is_held_back(found) {
            if over_limit {
                tracing::warn!(
                    pages = found.pages,
                    "a program reads one old state of the database on and on; until it ends, the write-ahead log grows"
                );
            }
            return Ok(false);
        }
        // Within the limit nobody else is waited for: should somebody use the log, it begins anew
        // another time.
        self.finish_copy(if over_limit { BEGIN_ANEW } else { COPY })
    }

    /// For a database at rest: copies everything, gives free pages back and cuts a long log off.
    /// Answers whether nothing is left to do.
    fn settle(&mut self) -> Result<bool> {
        let mut given_back = true;
        while given_back && self.has_many_free_pages()? {
            given_back = self.give_back_pages();
        }
        let Some(found) = self.copy()? else {
            return Ok(false);
        };
        self.log.dealt_with(found);
        let copied = match found.left() {
            0 if self.log.is_over_limit(found) => self.finish_copy(CUT_OFF)?,
            left => left == 0,
        };
        Ok(copied && given_back)
    }

    /// Copies while others write, until what is left is little or grows as fast as it is copied.
    fn copy(&mut self) -> Result<Option<Checkpoint>> {
        let mut found = None;
        for _ in 0..MOST_COPIES {
            let Some(copied) = Checkpoint::run(self.connection()?, COPY)? else {
                break;
            };
            found = Some(copied);
            if copied.left() > 0 || self.log.grown_since(copied) <= FEW_PAGES || self.stopped() {
                break;
            }
        }
        Ok(found)
    }

    /// Stops our own writer for a moment, so that the log is copied to its end; answers whether
    /// nobody stood in the way.
    fn finish_copy(&mut self, pragma: &str) -> Result<bool> {
        let Some(writer) = self.writer.upgrade() else {
            return Ok(false);
        };
        let (log, stop) = (Arc::clone(&self.log), Arc::clone(&self.stop));
        let connection = self.connection()?;
        let copied = writer.while_paused(&stop, || {
            let found = Checkpoint::run(connection, pragma)?;
            let done = found.is_some_and(|found| !found.blocked && found.left() == 0);
            if done && pragma != COPY {
                log.begins_anew();
            }
            Ok(done)
        });
        copied.unwrap_or(Ok(false))
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
        // Not led from here: this thread must not meet the close, which waits for its end.
        match block_on_until(given, None) {
            Some(Ok(())) => self.log.commits() == before + 1 && !self.stopped(),
            Some(Err(error)) => {
                tracing::debug!(%error, "free pages were not given back");
                false
            }
            None => false,
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
