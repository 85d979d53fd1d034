//! The connection, and how a batch of jobs becomes one transaction on it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
use crate::log::{Checkpoint, LogGauge};
use crate::sql::Statements;
use crate::standing::Called;
use crate::writer::Shared;

/// More than there are statements, so that none is compiled twice.
const STATEMENTS: usize = 64;

const FULL: &str = "PRAGMA synchronous = FULL";
const NORMAL: &str = "PRAGMA synchronous = NORMAL";

/// How long others may use the log that has to begin anew, before it is tried again.
const WAIT_FOR_LOG: Duration = Duration::from_secs(1);

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
    /// A flush may have failed, so the log may hold frames that a loss of power would take, and
    /// with them every frame behind them.
    log_in_doubt: bool,
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
            log_in_doubt: false,
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

    /// Which file it is; `None` in memory.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.origin.as_ref().map(|origin| &origin.identity)
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
            self.note_doubt(answer.as_ref().err());
            job.finish(answer, writer);
        }
        if writes.iter().all(|job| job.kind() == Kind::Claim) {
            writes = self.look_first(writes, writer);
        }
        if !writes.is_empty() {
            self.commit_all(writes, true, writer);
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
                answer => {
                    self.note_doubt(answer.as_ref().err());
                    job.finish(answer, writer);
                }
            }
        }
        wanted
    }

    /// One transaction for all jobs and, if they may be `served`, for the claims that wait for what
    /// they store. If a job fails it is undone as a whole, and the others, which did nothing wrong,
    /// are run again in one of their own each. A waiting claim is not answered then: it goes on
    /// waiting, or learns what is wrong when it asks by itself.
    fn commit_all(&mut self, mut jobs: Vec<Box<dyn Job>>, serve: bool, writer: &Arc<Shared>) {
        self.rings.clear();
        if let Err(error) = self.begin(&jobs) {
            self.note_doubt(Some(&error));
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
            let called = if serve { self.call(writer) } else { Vec::new() };
            return match self.carry_out(called) {
                Ok(served) => self.commit(jobs, served, writer),
                Err((error, called)) => {
                    self.roll_back(&error);
                    writer.standing.lock().put_back(called);
                    jobs.into_iter()
                        .for_each(|job| self.commit_all(vec![job], false, writer));
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
            .for_each(|job| self.commit_all(vec![job], serve, writer));
    }

    fn commit(&mut self, jobs: Vec<Box<dyn Job>>, served: Vec<Called>, writer: &Arc<Shared>) {
        failpoint!("before_commit");
        let started = Instant::now();
        let committed = self.run("COMMIT");
        self.times.took("commit", started.elapsed());
        match committed {
            Ok(()) => {
                failpoint!("after_commit");
                let queues: Vec<i64> = served.iter().map(|served| served.queue_id).collect();
                for Called { claim, .. } in served {
                    claim.finish(Ok(()), writer);
                }
                self.wake(&queues);
                failpoint!("after_wake");
                jobs.into_iter().for_each(|job| job.finish(Ok(()), writer));
            }
            Err(error) => {
                self.roll_back(&error);
                writer.standing.lock().put_back(served);
                fail(jobs, &self.explain(error), writer);
            }
        }
    }

    /// Claims of consumers that wait for what this transaction stores, one for each event at most.
    fn call(&self, writer: &Arc<Shared>) -> Vec<Called> {
        let mut called = Vec::new();
        let strict = self.config.ack_durability == AckDurability::Strict;
        // What a strict claim says must be flushed, and this transaction may not be.
        if !self.rings.is_empty() && (!strict || self.synchronous == Some(FULL)) {
            let mut standing = writer.standing.lock();
            for ring in &self.rings {
                let (queues, events) = ring.queues();
                for queue_id in queues {
                    standing.call(*queue_id, events, &mut called);
                }
            }
        }
        called
    }

    fn carry_out(&mut self, mut called: Vec<Called>) -> Result<Vec<Called>, (Error, Vec<Called>)> {
        for one in &mut called {
            if let Err(error) = one.claim.run(self) {
                return Err((error, called));
            }
        }
        Ok(called)
    }

    /// Wakes whoever the commit is for, except in queues whose consumers were `served`: they wake
    /// the next one if there is more than they could take. A waker that panics must not take the
    /// answers with it.
    fn wake(&self, served: &[i64]) {
        let is_served = |queue_id| served.contains(&queue_id);
        let ring = AssertUnwindSafe(|| self.ringer.ring_unless(&self.rings, is_served));
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
        let synchronous = if lasting { FULL } else { NORMAL };
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
        self.note_doubt(Some(cause));
        self.log_in_doubt |= cause.kind() == ErrorKind::Unavailable;
    }

    /// After an I/O error the file is opened again before anything else is done.
    fn note_doubt(&mut self, error: Option<&Error>) {
        self.reopen_wanted |= error.is_some_and(|error| error.kind() == ErrorKind::Unavailable);
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
            if self.log_in_doubt {
                begin_log_anew(&self.connection)?;
                self.log_in_doubt = false;
            }
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

/// Copies the whole log, and makes the next commit the first of it. SQLite reads a log up to the
/// first frame that is not whole: what is committed behind a frame that a failed flush did not
/// bring to the disk would be lost with it.
fn begin_log_anew(connection: &Connection) -> Result<()> {
    let until = Instant::now() + WAIT_FOR_LOG;
    loop {
        let found = Checkpoint::run(connection, "PRAGMA wal_checkpoint(RESTART)")?;
        if found.is_some_and(|found| !found.blocked && found.left() == 0) {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(Error::new(ErrorKind::Unavailable, Op::Admin).in_backend(BACKEND).because(
                "after a failed flush the write-ahead log has to begin anew, and a program reads from it on and on; end that one",
            ));
        }
        // Another connection copies it, or reads from it.
        std::thread::sleep(Duration::from_millis(5));
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SqliteConfig;
    use crate::bell::Watch;
    use crate::open::{connect, connect_beside, database};

    /// An I/O error of any statement has the file opened again, and only one that may have been a
    /// flush has the log begin anew.
    #[test]
    fn after_a_failed_flush_nothing_is_committed_behind_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let config = SqliteConfig {
            busy_timeout: Duration::from_millis(10),
            ..SqliteConfig::file(folder.path().join("app.db"))
        };
        let mut db = database(connect(&config).unwrap(), &config, Watch::new).unwrap();
        let beside = connect_beside(&config, Duration::ZERO).unwrap();
        let pages = || {
            let found = Checkpoint::run(&beside, "PRAGMA wal_checkpoint(NOOP)").unwrap();
            found.map_or(0, |found| found.pages)
        };
        let commit = |db: &Database, n: i64| {
            let sql = format!("CREATE TABLE t{n} (a)");
            db.connection.execute_batch(&sql).unwrap();
            pages()
        };
        assert!(commit(&db, 1) > 0);
        let io_error = || Error::new(ErrorKind::Unavailable, Op::Admin);
        db.note_doubt(Some(&io_error()));
        db.heal().unwrap();
        let before = pages();
        assert!(commit(&db, 2) > before, "a read that failed loses no frame");

        db.roll_back(&io_error());
        let reader = connect_beside(&config, Duration::ZERO).unwrap();
        reader
            .execute_batch("BEGIN; SELECT count(*) FROM t1")
            .unwrap();
        for _ in 0..2 {
            let refused = db.heal().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
        }
        reader.execute_batch("COMMIT").unwrap();
        db.heal().unwrap();
        let anew = commit(&db, 3);
        assert!(anew <= 4, "{anew} pages");
    }
}
