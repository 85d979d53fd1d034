//! One session: statements with named binds, transactions, and ending a call from outside.

use std::sync::Arc;
use std::time::{Duration, Instant};

use events_core::{Error, Op, Result};
use oracle::sql_type::ToSql;
use oracle::{Connection, Row};
use parking_lot::Mutex;

use crate::error::{class_of, oracle_error};
use crate::{Class, Server, ServerVersion, Value, batch};

/// How often, and for how long, a session that ends tries to undo its transaction.
const LAST_ROLLBACKS: usize = 5;
const LAST_ROLLBACK_PAUSE: Duration = Duration::from_millis(100);
const LAST_ROLLBACK_LIMIT: Duration = Duration::from_secs(5);

/// Rows of one round trip where all of a result is wanted.
const FETCH: u32 = 100;

/// A session on the server. Its calls block; when it is dropped it is logged off.
pub struct Session {
    connection: Arc<Connection>,
    breakable: Breakable,
    version: ServerVersion,
    backend: &'static str,
}

/// Ends the call that another thread makes on a session; it keeps no session open.
#[derive(Clone)]
pub struct Interrupter(Breakable);

/// The connection while its session lasts. Locked during a break, so that a session that ends
/// waits for it and is really logged off.
type Breakable = Arc<Mutex<Option<Arc<Connection>>>>;

/// Named binds of one execution.
pub type Binds<'a> = [(&'a str, Value)];

impl Session {
    /// Logs in. No call of the session takes longer than `call_timeout`.
    ///
    /// # Errors
    /// `NotConfigured` without Oracle's client library, `InvalidConfig` without a password, `Auth`,
    /// `Permission` or `Unavailable`, each with the way out.
    pub fn connect(
        server: &Server,
        backend: &'static str,
        call_timeout: Option<Duration>,
    ) -> Result<Self> {
        let password = server.password()?;
        let failed = |error| located(server, oracle_error(Op::Open, backend, error));
        let connection = Connection::connect(server.user(), password, server.connect_string())
            .map_err(failed)?;
        connection
            .set_call_timeout(call_timeout.map(countable))
            .map_err(failed)?;
        let (version, _) = connection.server_version().map_err(failed)?;
        let part = |part: i32| u32::try_from(part).unwrap_or_default();
        let connection = Arc::new(connection);
        Ok(Self {
            version: ServerVersion::new(
                part(version.major()),
                part(version.minor()),
                part(version.update()),
            ),
            breakable: Arc::new(Mutex::new(Some(Arc::clone(&connection)))),
            connection,
            backend,
        })
    }

    /// The driver's connection, for what this type does not do.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The version of the server.
    #[must_use]
    pub fn version(&self) -> ServerVersion {
        self.version
    }

    /// The name of the backend, in errors.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        self.backend
    }

    /// What ends a call of this session from another thread.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(Arc::clone(&self.breakable))
    }

    /// Whether the session still answers.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.connection.ping().is_ok()
    }

    /// Runs a query and reads at most `limit` rows.
    ///
    /// # Errors
    /// What the server says.
    pub fn query<T>(
        &self,
        op: Op,
        sql: &str,
        binds: &Binds<'_>,
        limit: usize,
        read: impl FnMut(&Row) -> oracle::Result<T>,
    ) -> Result<Vec<T>> {
        self.fetch(op, sql, binds, (FETCH, limit), read)
    }

    /// Runs a query that locks, and fetches at most `limit` rows in one round trip: no other row is
    /// locked, because Oracle locks what it fetches.
    ///
    /// # Errors
    /// What the server says.
    pub fn query_locked<T>(
        &self,
        op: Op,
        sql: &str,
        binds: &Binds<'_>,
        limit: usize,
        read: impl FnMut(&Row) -> oracle::Result<T>,
    ) -> Result<Vec<T>> {
        let size = u32::try_from(limit).unwrap_or(u32::MAX).max(1);
        self.fetch(op, sql, binds, (size, limit), read)
    }

    fn fetch<T>(
        &self,
        op: Op,
        sql: &str,
        binds: &Binds<'_>,
        (size, limit): (u32, usize),
        mut read: impl FnMut(&Row) -> oracle::Result<T>,
    ) -> Result<Vec<T>> {
        let mut run = move || {
            let mut statement = self
                .connection
                .statement(sql)
                .prefetch_rows(size)
                .fetch_array_size(size)
                .build()?;
            let rows = statement.query_named(&named(binds))?;
            rows.take(limit)
                .map(|row| row.and_then(|row| read(&row)))
                .collect()
        };
        let answer: oracle::Result<Vec<T>> = run();
        answer.map_err(|error| oracle_error(op, self.backend, error))
    }

    /// Runs a statement; answers how many rows it changed.
    ///
    /// # Errors
    /// What the server says.
    pub fn execute(&self, op: Op, sql: &str, binds: &Binds<'_>) -> Result<u64> {
        self.try_execute(sql, binds)
            .map_err(|error| oracle_error(op, self.backend, error))
    }

    /// As [`Session::execute`], for a caller who reads the code of an error.
    ///
    /// # Errors
    /// That of the driver.
    pub fn try_execute(&self, sql: &str, binds: &Binds<'_>) -> oracle::Result<u64> {
        let mut statement = self.connection.statement(sql).build()?;
        statement.execute_named(&named(binds))?;
        statement.row_count()
    }

    /// Runs a statement once for each row of binds; answers how many rows each execution changed.
    /// When one fails, those before it have happened: roll back.
    ///
    /// The rows go in one round trip, or in several where their buffers would be large.
    ///
    /// # Errors
    /// What the server says.
    pub fn execute_each(&self, op: Op, sql: &str, rows: &[Vec<(&str, Value)>]) -> Result<Vec<u64>> {
        self.each(sql, rows, true)
            .map_err(|error| oracle_error(op, self.backend, error))
    }

    /// As [`Session::execute_each`], for a block, which changes no rows of its own.
    ///
    /// # Errors
    /// What the server says.
    pub fn run_each(&self, op: Op, block: &str, rows: &[Vec<(&str, Value)>]) -> Result<()> {
        self.try_run_each(block, rows)
            .map_err(|error| oracle_error(op, self.backend, error))
    }

    /// As [`Session::run_each`], for a caller who reads the code of an error.
    ///
    /// # Errors
    /// That of the driver.
    pub fn try_run_each(&self, block: &str, rows: &[Vec<(&str, Value)>]) -> oracle::Result<()> {
        self.each(block, rows, false).map(drop)
    }

    fn each(
        &self,
        sql: &str,
        mut rows: &[Vec<(&str, Value)>],
        counted: bool,
    ) -> oracle::Result<Vec<u64>> {
        let mut counts = Vec::new();
        while !rows.is_empty() {
            let (portion, rest) = rows.split_at(batch::portion(rows));
            rows = rest;
            // One more than is needed, so that appending the last row does not execute.
            let mut batch = self.connection.batch(sql, portion.len() + 1);
            if counted {
                batch.with_row_counts();
            }
            let mut batch = batch.build()?;
            for (name, value) in batch::widest(portion) {
                let oratype = value.oratype(&self.connection)?;
                batch.set_type(name, &oratype)?;
            }
            for row in portion {
                batch.append_row_named(&named(row))?;
            }
            batch.execute()?;
            if counted {
                counts.extend(batch.row_counts()?);
            }
        }
        Ok(counts)
    }

    /// Makes the transaction lasting.
    ///
    /// # Errors
    /// What the server says; then it may or may not have happened.
    pub fn commit(&self, op: Op) -> Result<()> {
        self.connection
            .commit()
            .map_err(|error| oracle_error(op, self.backend, error))
    }

    /// As [`Session::commit`], answered before the redo is on disk: a crash of the server may lose
    /// it, never half of it.
    ///
    /// # Errors
    /// As [`Session::commit`].
    pub fn commit_relaxed(&self, op: Op) -> Result<()> {
        self.execute(op, "COMMIT WRITE BATCH NOWAIT", &[]).map(drop)
    }

    /// Bounds every later call of the server, or lifts the bound.
    ///
    /// # Errors
    /// What the driver says.
    pub fn set_call_timeout(&self, limit: Option<Duration>) -> Result<()> {
        self.connection
            .set_call_timeout(limit.map(countable))
            .map_err(|error| oracle_error(Op::Open, self.backend, error))
    }

    /// Undoes the transaction.
    ///
    /// # Errors
    /// What the server says; a session that is gone is rolled back by the server.
    pub fn rollback(&self, op: Op) -> Result<()> {
        self.connection
            .rollback()
            .map_err(|error| oracle_error(op, self.backend, error))
    }
}

impl Drop for Session {
    /// Undoes the transaction. The driver tries that once and logs off whatever came of it, and a
    /// log-off commits: a session that cannot be rolled back is rather left to the server.
    fn drop(&mut self) {
        self.breakable.lock().take();
        // Neither this nor the log-off may take as long as a call that somebody waits for.
        let _ = self.set_call_timeout(Some(LAST_ROLLBACK_LIMIT));
        let started = Instant::now();
        for tried in 1.. {
            let Err(error) = self.connection.rollback() else {
                return;
            };
            // The server has rolled back a session that is gone.
            if class_of(&error).0 == Class::Disconnected {
                return;
            }
            if tried == LAST_ROLLBACKS || started.elapsed() > LAST_ROLLBACK_LIMIT {
                tracing::error!(%error, "a session cannot be rolled back and is kept open until the process ends");
                std::mem::forget(Arc::clone(&self.connection));
                return;
            }
            std::thread::sleep(LAST_ROLLBACK_PAUSE);
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("version", &self.version)
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

impl Interrupter {
    /// Ends the call that is under way, if any: it fails with ORA-01013. Nothing once the session
    /// has ended.
    pub fn interrupt(&self) {
        if let Some(connection) = &*self.0.lock()
            && let Err(error) = connection.break_execution()
            && class_of(&error).0 != Class::Disconnected
        {
            tracing::debug!(%error, "a call could not be broken");
        }
    }
}

impl std::fmt::Debug for Interrupter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interrupter")
    }
}

/// The time as the client counts it, in milliseconds: at most 49 days.
fn countable(limit: Duration) -> Duration {
    limit.min(Duration::from_millis(u32::MAX.into()))
}

fn named<'a>(binds: &'a Binds<'_>) -> Vec<(&'a str, &'a dyn ToSql)> {
    binds
        .iter()
        .map(|(name, value)| (*name, value as &dyn ToSql))
        .collect()
}

/// The error with the server's place in it.
fn located(server: &Server, error: Error) -> Error {
    let detail = format!("{}: {}", server.shown(), error.detail().unwrap_or_default());
    error.because(detail)
}
