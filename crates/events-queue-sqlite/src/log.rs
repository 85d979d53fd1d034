//! How long the write-ahead log is: what commits tell, and what SQLite answers when it copies it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use events_core::{Op, Result};
use rusqlite::{Connection, ErrorCode};

use crate::error::sqlite;

/// The log is copied into the database whenever it has grown by this much, and then begins anew if
/// nobody else uses it.
const STEP_BYTES: u32 = 4 * 1024 * 1024;
/// What it grows to before it begins anew: commits go on while it is copied.
pub(crate) const ROOM_BYTES: u32 = STEP_BYTES / 4 * 5;
/// A log that flushed commits have made this long will get as long as a step. Making room for that
/// costs about as much as it saves this many of them.
const EARLY_BYTES: u32 = 512 * 1024;
/// Beyond this length it is made to begin anew.
pub(crate) const LIMIT_BYTES: u32 = 64 * 1024 * 1024;

/// The log as the last commit of this process saw it.
#[derive(Debug)]
pub(crate) struct LogGauge {
    page_bytes: u32,
    step: u32,
    limit: u32,
    /// Pages in the log; those that other processes wrote count too.
    pages: AtomicU32,
    commits: AtomicU64,
    /// At this many pages the log is long.
    long_at: AtomicU32,
    long: AtomicBool,
    /// Whether room is to be made for it first.
    wants_room: AtomicBool,
    waits_for_commit: AtomicBool,
    waiter: OnceLock<Thread>,
}

impl LogGauge {
    /// Commits that are `flushed` want room in the log early.
    pub(crate) fn new(page_bytes: u32, flushed: bool) -> Self {
        let page_bytes = page_bytes.max(512);
        let step = STEP_BYTES / page_bytes;
        Self {
            page_bytes,
            step,
            limit: LIMIT_BYTES / page_bytes,
            pages: AtomicU32::new(0),
            commits: AtomicU64::new(0),
            long_at: AtomicU32::new(if flushed {
                EARLY_BYTES / page_bytes
            } else {
                step
            }),
            long: AtomicBool::new(false),
            wants_room: AtomicBool::new(flushed),
            waits_for_commit: AtomicBool::new(false),
            waiter: OnceLock::new(),
        }
    }

    /// A transaction was committed, after which the log has this many pages.
    pub(crate) fn committed(&self, pages: u32) {
        // A log that is shorter than before began anew, and nothing of it is copied.
        if pages < self.pages.swap(pages, Ordering::SeqCst) {
            self.is_long_after(0);
        }
        self.commits.fetch_add(1, Ordering::SeqCst);
        let long = pages >= self.long_at.load(Ordering::SeqCst);
        if long {
            self.long_at.store(u32::MAX, Ordering::SeqCst);
            self.long.store(true, Ordering::SeqCst);
        }
        if self.waits_for_commit.swap(false, Ordering::SeqCst) || long {
            self.call();
        }
    }

    /// How many transactions this process has committed.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    /// Whether the log became long; answered once.
    pub(crate) fn became_long(&self) -> bool {
        self.long.swap(false, Ordering::SeqCst)
    }

    /// How much is to be added to the log before it is as long as it will be, in bytes; answered
    /// once.
    pub(crate) fn wants_room(&self) -> Option<u32> {
        let pages = self.pages.load(Ordering::SeqCst);
        let wanted = self.wants_room.swap(false, Ordering::SeqCst) && pages < self.step;
        wanted.then(|| ROOM_BYTES.saturating_sub(pages * self.page_bytes))
    }

    /// Room was made, or could not be and is to be made later.
    pub(crate) fn room_was_made(&self, made: bool) {
        self.wants_room.store(!made, Ordering::SeqCst);
        let pages = self.pages.load(Ordering::SeqCst);
        self.is_long_after(if made { 0 } else { pages });
    }

    /// So much of the log was dealt with: it is long when it has grown from there.
    pub(crate) fn dealt_with(&self, found: Checkpoint) {
        self.is_long_after(found.pages);
        // Unless it began anew meanwhile.
        if self.pages.load(Ordering::SeqCst) < found.pages {
            self.is_long_after(0);
        }
    }

    /// The log is long when it has grown so much from here that something is to be done.
    fn is_long_after(&self, pages: u32) {
        let more = if self.wants_room.load(Ordering::SeqCst) {
            EARLY_BYTES / self.page_bytes
        } else {
            self.step
        };
        self.long_at
            .store(pages.saturating_add(more), Ordering::SeqCst);
    }

    /// Nobody could look at the log.
    pub(crate) fn not_dealt_with(&self) {
        self.dealt_with(Checkpoint {
            pages: self.pages.load(Ordering::SeqCst),
            ..Checkpoint::default()
        });
    }

    /// The next commit will be the first in the log. Nobody may be committing.
    pub(crate) fn begins_anew(&self) {
        self.pages.store(0, Ordering::SeqCst);
        self.is_long_after(0);
    }

    /// Whether a log is too long to be left so.
    pub(crate) fn is_over_limit(&self, found: Checkpoint) -> bool {
        found.pages >= self.limit
    }

    /// Whether so much could not be copied that somebody must be holding it back.
    pub(crate) fn is_held_back(&self, found: Checkpoint) -> bool {
        found.left() >= self.step
    }

    #[cfg(test)]
    pub(crate) fn step(&self) -> u32 {
        self.step
    }

    /// How many pages were committed since a checkpoint began.
    pub(crate) fn grown_since(&self, found: Checkpoint) -> u32 {
        self.pages
            .load(Ordering::SeqCst)
            .saturating_sub(found.pages)
    }

    /// Names the thread that waits.
    pub(crate) fn set_waiter(&self, thread: &Thread) {
        let _ = self.waiter.set(thread.clone());
    }

    /// Ends a wait.
    pub(crate) fn call(&self) {
        if let Some(waiter) = self.waiter.get() {
            waiter.unpark();
        }
    }

    /// Waits until the log is long or the time is over; without a time, until there is a commit
    /// that was not seen. May end early.
    pub(crate) fn wait(&self, seen: u64, at_most: Option<Duration>) {
        if let Some(time) = at_most {
            return thread::park_timeout(time);
        }
        self.waits_for_commit.store(true, Ordering::SeqCst);
        if self.commits() == seen {
            thread::park();
        }
    }
}

/// What a checkpoint found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Checkpoint {
    /// Somebody stood in the way of what was asked for.
    pub(crate) blocked: bool,
    /// Pages in the log.
    pub(crate) pages: u32,
    /// How many of them the database holds too.
    pub(crate) copied: u32,
}

impl Checkpoint {
    /// Runs a checkpoint; `None` while another connection runs one.
    pub(crate) fn run(connection: &Connection, pragma: &str) -> Result<Option<Self>> {
        let ran = connection.prepare_cached(pragma).and_then(|mut statement| {
            statement.query_row([], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
            })
        });
        let count = |pages| u32::try_from(pages).unwrap_or_default();
        match ran {
            // SQLite answers -1 when it did not come to look at the log.
            Ok((true, -1, _)) => Ok(None),
            Ok((blocked, pages, copied)) => Ok(Some(Self {
                blocked,
                pages: count(pages),
                copied: count(copied),
            })),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(None),
            Err(error) => Err(sqlite(Op::CleanUp, error)),
        }
    }

    /// Pages that only the log holds.
    pub(crate) fn left(self) -> u32 {
        self.pages.saturating_sub(self.copied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_long_after_each_step_and_again_after_it_began_anew() {
        let gauge = LogGauge::new(4096, false);
        let step = gauge.step;
        gauge.committed(step - 1);
        assert!(!gauge.became_long());
        gauge.committed(step);
        assert!(gauge.became_long() && !gauge.became_long());
        // Until it is dealt with nobody is called again.
        gauge.committed(step + 1);
        assert!(!gauge.became_long());
        gauge.dealt_with(Checkpoint {
            pages: step,
            copied: step,
            blocked: false,
        });
        gauge.committed(2 * step - 1);
        assert!(!gauge.became_long());
        gauge.committed(2 * step);
        assert!(gauge.became_long());
        // It begins anew before that is dealt with.
        gauge.committed(3);
        gauge.dealt_with(Checkpoint {
            pages: 2 * step,
            copied: 2 * step,
            blocked: false,
        });
        gauge.committed(step);
        assert!(gauge.became_long());
        assert_eq!(gauge.commits(), 7);
    }

    /// A long log was dealt with; another process makes it begin anew.
    #[test]
    fn a_log_that_began_anew_is_long_after_one_step() {
        let gauge = LogGauge::new(4096, false);
        let pages = 9 * gauge.step;
        gauge.committed(pages);
        assert!(gauge.became_long());
        gauge.dealt_with(Checkpoint {
            pages,
            copied: pages,
            blocked: false,
        });
        gauge.committed(3);
        gauge.committed(gauge.step);
        assert!(gauge.became_long());
    }

    #[test]
    fn a_new_log_of_flushed_commits_is_long_early_and_only_once() {
        let gauge = LogGauge::new(4096, true);
        gauge.committed(10);
        // A rest changes nothing of that.
        gauge.dealt_with(Checkpoint {
            pages: 10,
            copied: 10,
            blocked: false,
        });
        gauge.committed(137);
        assert!(!gauge.became_long());
        gauge.committed(138);
        assert!(gauge.became_long());
        let bytes = Some(ROOM_BYTES - 138 * 4096);
        assert_eq!((gauge.wants_room(), gauge.wants_room()), (bytes, None));
        gauge.room_was_made(false);
        gauge.committed(138 + 128);
        assert!(gauge.became_long() && gauge.wants_room().is_some());
        gauge.room_was_made(true);
        gauge.committed(gauge.step - 1);
        assert!(!gauge.became_long());
        gauge.committed(gauge.step);
        assert!(gauge.became_long() && gauge.wants_room().is_none());
    }

    #[test]
    fn a_wait_ends_with_the_next_commit() {
        let gauge = LogGauge::new(4096, false);
        gauge.set_waiter(&thread::current());
        thread::scope(|threads| {
            threads.spawn(|| gauge.committed(1));
            while gauge.commits() == 0 {
                gauge.wait(0, None);
            }
        });
    }
}
