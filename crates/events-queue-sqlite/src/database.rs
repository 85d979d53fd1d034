//! The connection, and how a batch of jobs becomes one transaction on it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use events_core::telemetry::StatementTimes;
use events_core::{Error, ErrorKind, Op, Result};
use events_queue::{AckDurability, Clock, Durability, QueueConfig};
use rusqlite::hooks::Wal;
use rusqlite::{CachedStatement, Connection};

use crate::bell::{Ring, Ringer};
use crate::error::{BACKEND, sqlite};
use crate::failpoint::failpoint;
use crate::identity::Identity;
use crate::job::{Job, Kind};
use crate::log::LogGauge;
use crate::sql::Statements;
use crate::writer::Shared;

/// More than there are statements, so that none is compiled twice.
const STATEMENTS: usize = 64;

/// The connection and what statements need beside it.
pub(crate) struct Database {
    pub(crate) connection: Connection,
    pub(crate) sql: Statements,
    pub(crate) config: QueueConfig,
    pub(crate) clock: Clock,
    pub(crate) times: StatementTimes,
    /// The file; `None` in memory.
    origin: Option<Origin>,
    /// An I/O error has made the state of the connection unknown.
    reopen_wanted: bool,
    synchronous: Option<&'static str>,
    write_wanted: bool,
    /// None for a database in memory, which has no log.
    log: Option<Arc<LogGauge>>,
    ringer: Ringer,
    rings: Vec<Ring>,
}

/// A connection with the statements of a queue: the writer's, or that of a caller.
#[derive(Clone, Copy)]
pub(crate) struct Session<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) sql: &'a Statements,
    pub(crate) clock: &'a Clock,
}

impl<'a> Session<'a> {
    /// A prepared statement, compiled once for each connection.
    pub(crate) fn statement(&self, sql: &str) -> Result<CachedStatement<'a>> {
        self.connection.prepare_cached(sql).map_err(failed)
    }
}

/// The file that the connection is to.
pub(crate) struct Origin {
    /// Which one it is.
    pub(crate) identity: Identity,
    /// Makes a fresh connection to whatever file its path leads to.
    pub(crate) reopen: Box<dyn Fn() -> Result<Connection> + Send>,
}

impl Database {
    pub(crate) fn new(
        connection: Connection,
        sql: Statements,
        config: QueueConfig,
        clock: Clock,
        origin: Option<Origin>,
        log: Option<Arc<LogGauge>>,
        ringer: Ringer,
    ) -> Result<Self> {
        Ok(Self {
            connection: prepare(connection, log.as_ref())?,
            sql,
            config,
            clock,
            times: StatementTimes::new(BACKEND),
            origin,
            reopen_wanted: false,
            synchronous: None,
            write_wanted: false,
            log,
            ringer,
            rings: Vec::new(),
        })
    }

    /// A prepared statement, compiled once for each connection.
    pub(crate) fn statement(&self, sql: &str) -> Result<CachedStatement<'_>> {
        self.connection.prepare_cached(sql).map_err(failed)
    }

    pub(crate) fn session(&self) -> Session<'_> {
        Session {
            connection: &self.connection,
            sql: &self.sql,
            clock: &self.clock,
        }
    }

    pub(crate) fn log(&self) -> Option<&Arc<LogGauge>> {
        self.log.as_ref()
    }

    /// Shortens the file by at most so many pages that hold nothing.
    pub(crate) fn give_back_pages(&self, most: u32) -> Result<()> {
        let pragma = format!("PRAGMA incremental_vacuum({most})");
        let mut statement = self.statement(&pragma)?;
        // Each step moves a page.
        let mut steps = statement.query([]).map_err(failed)?;
        while steps.next().map_err(failed)?.is_some() {}
        Ok(())
    }

    pub(crate) fn ringer(&self) -> &Ringer {
        &self.ringer
    }

    /// Wakes consumers after the commit; forgotten if there is none.
    pub(crate) fn ring(&mut self, ring: Ring) {
        self.rings.push(ring);
    }

    pub(crate) fn close(self) {
        // The other connection of this process goes first, so that this one leaves no log behind.
        self.ringer.leave();
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
    }

    /// For a claim that found something: in a transaction it goes on, outside it asks for one.
    pub(crate) fn may_write(&mut self) -> bool {
        self.write_wanted = self.connection.is_autocommit();
        !self.write_wanted
    }

    /// Runs jobs and answers each of them.
    pub(crate) fn run_batch(&mut self, batch: Vec<Box<dyn Job>>, writer: &Arc<Shared>) {
        if let Err(error) = self.check_file().and_then(|()| self.heal()) {
            return fail(batch, &error, writer);
        }
        let (reads, mut writes): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|job| job.kind() == Kind::Read);
        for mut job in reads {
            let answer = job.run(self);
            job.finish(answer, writer);
        }
        if writes.iter().all(|job| job.kind() == Kind::Claim) {
            writes = self.look_first(writes, writer);
        }
        if !writes.is_empty() {
            self.commit_all(writes, writer);
        }
    }

    /// Claims that find nothing are answered without a transaction, so that idle consumers never
    /// take the write lock.
    fn look_first(&mut self, claims: Vec<Box<dyn Job>>, writer: &Arc<Shared>) -> Vec<Box<dyn Job>> {
        let mut wanted = Vec::new();
        for mut job in claims {
            self.write_wanted = false;
            match job.run(self) {
                Ok(()) if self.write_wanted => wanted.push(job),
                answer => job.finish(answer, writer),
            }
        }
        wanted
    }

    /// One transaction for all jobs. If one fails it is undone as a whole, and the others, which
    /// did nothing wrong, are run again in one of their own each.
    fn commit_all(&mut self, mut jobs: Vec<Box<dyn Job>>, writer: &Arc<Shared>) {
        self.rings.clear();
        if let Err(error) = self.begin(&jobs) {
            return fail(jobs, &self.explain(error), writer);
        }
        let mut failed = None;
        for (at, job) in jobs.iter_mut().enumerate() {
            if let Err(error) = job.run(self) {
                failed = Some((at, error));
                break;
            }
            failpoint!("after_job");
        }
        let Some((at, error)) = failed else {
            failpoint!("before_commit");
            let started = Instant::now();
            let committed = self.run("COMMIT");
            self.times.took("commit", started.elapsed());
            return match committed {
                Ok(()) => {
                    failpoint!("after_commit");
                    self.wake();
                    failpoint!("after_wake");
                    jobs.into_iter().for_each(|job| job.finish(Ok(()), writer));
                }
                Err(error) => {
                    self.roll_back(&error);
                    fail(jobs, &self.explain(error), writer);
                }
            };
        };
        let error = self.explain(error);
        // SQLite rolls back by itself on a full disk or an I/O error; nothing of it is stored.
        let everybody = self.connection.is_autocommit() || concerns_all(&error);
        self.roll_back(&error);
        jobs.remove(at).finish(Err(error.clone()), writer);
        if everybody {
            return fail(jobs, &error, writer);
        }
        jobs.into_iter()
            .for_each(|job| self.commit_all(vec![job], writer));
    }

    /// Wakes whoever the commit is for. A waker that panics must not take the answers with it.
    fn wake(&self) {
        let ring = AssertUnwindSafe(|| self.ringer.ring(&self.rings));
        if catch_unwind(ring).is_err() {
            tracing::error!("the waker of a consumer panicked; the event is stored");
        }
    }

    fn begin(&mut self, jobs: &[Box<dyn Job>]) -> Result<()> {
        let lasting = jobs.iter().any(|job| match job.kind() {
            Kind::Publish => self.config.durability == Durability::Power,
            Kind::Claim | Kind::Settle | Kind::Release => {
                self.config.ack_durability == AckDurability::Strict
            }
            Kind::Read | Kind::CleanUp | Kind::Close => false,
        });
        let synchronous = if lasting {
            "PRAGMA synchronous = FULL"
        } else {
            "PRAGMA synchronous = NORMAL"
        };
        // It cannot be changed inside a transaction.
        if self.synchronous != Some(synchronous) {
            self.connection.execute_batch(synchronous).map_err(failed)?;
            self.synchronous = Some(synchronous);
        }
        #[cfg(feature = "_failpoints")]
        crate::failpoint::apply_limit(&self.connection).map_err(failed)?;
        self.run("BEGIN IMMEDIATE")
    }

    fn run(&self, sql: &str) -> Result<()> {
        self.statement(sql)?.execute([]).map(drop).map_err(failed)
    }

    fn roll_back(&mut self, cause: &Error) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.run("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back; the file is opened again");
            self.reopen_wanted = true;
        }
        // After a failed flush the page cache may not be what the file holds.
        self.reopen_wanted |= cause.kind() == ErrorKind::Unavailable;
    }

    /// Whether the path leads to the file that is open.
    fn check_file(&mut self) -> Result<()> {
        match &mut self.origin {
            Some(file) if self.reopen_wanted => file.identity.check_now(),
            Some(file) => file.identity.check(),
            None => Ok(()),
        }
    }

    /// An error of a file that is not in its place any more says that first.
    fn explain(&mut self, error: Error) -> Error {
        let in_place = match &mut self.origin {
            Some(file) => file.identity.check_now(),
            None => Ok(()),
        };
        in_place.err().unwrap_or(error)
    }

    /// Opens the file again if that is needed; what is in memory only stays as it is.
    fn heal(&mut self) -> Result<()> {
        if self.reopen_wanted
            && let Some(file) = &mut self.origin
        {
            let connection = (file.reopen)()?;
            // What was opened may be what took its place just now.
            file.identity.check_now()?;
            self.connection = prepare(connection, self.log.as_ref())?;
            self.synchronous = None;
        }
        self.reopen_wanted = false;
        Ok(())
    }
}

/// Makes a connection one that writes: the length of its log is told after each commit. That
/// takes the place of SQLite's own checkpoints, which would hold up the commit that meets them.
fn prepare(mut connection: Connection, log: Option<&Arc<LogGauge>>) -> Result<Connection> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    if let Some(log) = log.cloned() {
        let committed = move |_: &mut Wal, pages| {
            log.committed(u32::try_from(pages).unwrap_or_default());
            Ok(())
        };
        connection.wal_hook(Some(committed)).map_err(failed)?;
    }
    Ok(connection)
}

fn failed(error: rusqlite::Error) -> Error {
    sqlite(Op::Admin, error)
}

/// Whether an error says something about the database rather than about one job.
fn concerns_all(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull
            | ErrorKind::Unavailable
            | ErrorKind::Corrupt
            | ErrorKind::Replaced
            | ErrorKind::Busy
    )
}

fn fail(jobs: Vec<Box<dyn Job>>, error: &Error, writer: &Arc<Shared>) {
    jobs.into_iter()
        .for_each(|job| job.finish(Err(error.clone()), writer));
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("table", &self.config.table)
            .finish_non_exhaustive()
    }
}
