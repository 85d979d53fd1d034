//! The pool, and how a statement is run on one of its connections.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Pool, Timeouts};
use events_core::telemetry::StatementTimes;
use events_core::{Op, Result};
use events_pg_native::link::is_conflict;
use events_queue::{AckDurability, Durability, QueueConfig, Wakes};
use parking_lot::Mutex;
use tokio::time::error::Elapsed;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::error::{pool, postgres, timed_out};
use crate::frontier::Frontiers;
use crate::notify::Notify;
use crate::row::{micros, queue};
use crate::sql::Statements;

/// How often a transaction that lost against another one is run again.
const CONFLICTS: usize = 5;
/// The shortest time for which a caller's id is remembered.
const LEAST_KEY: Duration = Duration::from_secs(3600);

/// Where connections come from.
#[derive(Debug)]
pub(crate) struct Pools {
    own: Pool,
    /// Another one to publish through, and whether it is ours to close. Its connections may be
    /// shared with the application or lent by a proxy for one transaction each, so they are left
    /// as they are and nothing is prepared on them.
    publish: Option<(Pool, bool)>,
}

impl Pools {
    pub(crate) fn one(own: Pool) -> Self {
        Self { own, publish: None }
    }

    pub(crate) fn two(own: Pool, publish: Pool, closed_by_us: bool) -> Self {
        Self {
            own,
            publish: Some((publish, closed_by_us)),
        }
    }
}

/// What statements need beside their values.
#[derive(Debug)]
pub(crate) struct Database {
    pools: Pools,
    timeout: Duration,
    times: Mutex<StatementTimes>,
    pub(crate) sql: Statements,
    pub(crate) config: QueueConfig,
    pub(crate) wakes: Arc<Wakes>,
    pub(crate) frontiers: Frontiers,
    /// How consumers of other processes are woken, if they are.
    pub(crate) notify: Option<Arc<Notify>>,
    me: Weak<Self>,
}

/// The values of a statement.
pub(crate) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Database {
    pub(crate) fn new(
        pools: Pools,
        config: QueueConfig,
        timeout: Duration,
        wakes: Wakes,
        notify: Option<Arc<Notify>>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            sql: Statements::new(&config.table),
            frontiers: Frontiers::new(config.poll_interval),
            wakes: Arc::new(wakes),
            times: Mutex::new(StatementTimes::new(name(notify.as_ref()))),
            pools,
            timeout,
            config,
            notify,
            me: Weak::clone(me),
        })
    }

    /// Itself, for a task.
    pub(crate) fn upgrade(&self) -> Option<Arc<Self>> {
        self.me.upgrade()
    }

    /// The canonical name of the backend.
    pub(crate) fn name(&self) -> &'static str {
        name(self.notify.as_ref())
    }

    /// Something of a queue can be claimed from this id on, or is to be looked for: consumers of
    /// other processes are told. It was committed before.
    pub(crate) fn announce(&self, queue_id: i64, lowest: Option<i64>) {
        if let Some(notify) = &self.notify {
            let db = Weak::clone(&self.me);
            notify.herald.announce(db, queue(queue_id), lowest);
        }
    }

    /// Whether claims and verdicts need not be flushed to disk before they are answered.
    pub(crate) fn relaxed(&self) -> bool {
        self.config.ack_durability == AckDurability::Relaxed
    }

    /// Whether publishes need not be flushed either.
    pub(crate) fn publish_relaxed(&self) -> bool {
        self.config.durability == Durability::Process
    }

    /// How long a caller's id is remembered once every group has settled its event.
    pub(crate) fn keep_keys(&self) -> i64 {
        micros(self.config.retention.max(LEAST_KEY))
    }

    /// Runs one statement as a transaction of its own, and again if it lost against another one.
    pub(crate) async fn query(&self, op: Op, sql: &str, values: Values<'_>) -> Result<Vec<Row>> {
        let mut conflicts = 0;
        loop {
            match self.try_query(op, sql, values).await? {
                Ok(rows) => return Ok(rows),
                Err(error) if conflicts < CONFLICTS && is_conflict(&error) => conflicts += 1,
                Err(error) => return Err(postgres(op, error)),
            }
        }
    }

    /// Runs statements as one transaction, and again if it lost against another one.
    pub(crate) async fn query_all(
        &self,
        op: Op,
        statements: &[(&str, Vec<&(dyn ToSql + Sync)>)],
    ) -> Result<Vec<Vec<Row>>> {
        let mut conflicts = 0;
        loop {
            let mut connection = self.connection(op).await?;
            let started = Instant::now();
            let run = async {
                let transaction = connection.transaction().await?;
                let mut answers = Vec::with_capacity(statements.len());
                for (sql, values) in statements {
                    let statement = transaction.prepare_cached(sql).await?;
                    answers.push(transaction.query(&statement, values).await?);
                }
                transaction.commit().await?;
                Ok::<_, tokio_postgres::Error>(answers)
            };
            let answer = tokio::time::timeout(self.timeout, run).await;
            match self.answered(op, connection, started, answer)? {
                Ok(answers) => return Ok(answers),
                Err(error) if conflicts < CONFLICTS && is_conflict(&error) => conflicts += 1,
                Err(error) => return Err(postgres(op, error)),
            }
        }
    }

    /// Runs one statement that publishes; an error of the statement is for the caller to read.
    pub(crate) async fn publish(
        &self,
        sql: &str,
        values: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Result<Vec<Row>, tokio_postgres::Error>> {
        let Some((pool, _)) = &self.pools.publish else {
            let values: Vec<_> = values.iter().map(|(value, _)| *value).collect();
            return self.try_query(Op::Publish, sql, &values).await;
        };
        let connection = self.take(Op::Publish, pool).await?;
        let started = Instant::now();
        let answer = tokio::time::timeout(self.timeout, connection.query_typed(sql, values)).await;
        self.answered(Op::Publish, connection, started, answer)
    }

    /// As [`Database::publish`], and again if it lost against another transaction.
    pub(crate) async fn publish_again(
        &self,
        sql: &str,
        values: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>> {
        let mut conflicts = 0;
        loop {
            match self.publish(sql, values).await? {
                Ok(rows) => return Ok(rows),
                Err(error) if conflicts < CONFLICTS && is_conflict(&error) => conflicts += 1,
                Err(error) => return Err(postgres(Op::Publish, error)),
            }
        }
    }

    /// As [`Database::query`]; an error of the statement is for the caller to read.
    pub(crate) async fn try_query(
        &self,
        op: Op,
        sql: &str,
        values: Values<'_>,
    ) -> Result<Result<Vec<Row>, tokio_postgres::Error>> {
        let connection = self.connection(op).await?;
        let started = Instant::now();
        let run = async {
            let statement = connection.prepare_cached(sql).await?;
            connection.query(&statement, values).await
        };
        let answer = tokio::time::timeout(self.timeout, run).await;
        self.answered(op, connection, started, answer)
    }

    fn answered<T>(
        &self,
        op: Op,
        connection: Object,
        started: Instant,
        answer: std::result::Result<T, Elapsed>,
    ) -> Result<T> {
        match answer {
            Ok(answer) => {
                self.times.lock().took(op.as_str(), started.elapsed());
                Ok(answer)
            }
            Err(_) => {
                // Its answer may still come, so nobody else is given this connection.
                drop(Object::take(connection));
                Err(timed_out(op, self.timeout))
            }
        }
    }

    /// Runs one statement, again if it lost against another one, and answers how many rows it
    /// changed.
    pub(crate) async fn execute(&self, op: Op, sql: &str, values: Values<'_>) -> Result<u64> {
        let mut conflicts = 0;
        loop {
            let connection = self.connection(op).await?;
            let started = Instant::now();
            let run = async {
                let statement = connection.prepare_cached(sql).await?;
                connection.execute(&statement, values).await
            };
            let answer = tokio::time::timeout(self.timeout, run).await;
            match self.answered(op, connection, started, answer)? {
                Ok(changed) => return Ok(changed),
                Err(error) if conflicts < CONFLICTS && is_conflict(&error) => conflicts += 1,
                Err(error) => return Err(postgres(op, error)),
            }
        }
    }

    /// A connection with our settings.
    pub(crate) async fn connection(&self, op: Op) -> Result<Object> {
        let connection = self.take(op, &self.pools.own).await?;
        // A connection without a prepared statement is a new one.
        if connection.statement_cache.size() == 0 {
            let settings = async {
                let statement = connection.prepare_cached(&self.sql.settings).await?;
                connection.query(&statement, &[]).await
            };
            tokio::time::timeout(self.timeout, settings)
                .await
                .map_err(|_| timed_out(op, self.timeout))?
                .map_err(|e| postgres(op, e))?;
        }
        Ok(connection)
    }

    async fn take(&self, op: Op, from: &Pool) -> Result<Object> {
        let timeouts = Timeouts {
            wait: Some(self.timeout),
            create: Some(self.timeout),
            recycle: Some(self.timeout),
        };
        from.timeout_get(&timeouts).await.map_err(|e| pool(op, e))
    }

    /// Closes the connections that nobody uses, and the others when they come back.
    pub(crate) fn close(&self) {
        self.pools.own.close();
        if let Some((pool, true)) = &self.pools.publish {
            pool.close();
        }
    }
}

fn name(notify: Option<&Arc<Notify>>) -> &'static str {
    match notify {
        Some(_) => "notify_queue",
        None => "poll_queue",
    }
}
