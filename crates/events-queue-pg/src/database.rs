//! What operations share, and how a statement is run on one of its connections.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use events_core::telemetry::StatementTimes;
use events_core::{Op, Result};
use events_pg_native::link::is_conflict;
use events_queue::{AckDurability, Durability, QueueConfig, Wakes};
use parking_lot::Mutex;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::ask::{Ask, Changed, Rows, Several, TypedValues, Unprepared};
use crate::error::{postgres, timed_out};
use crate::frontier::Frontiers;
use crate::notify::Notify;
use crate::pools::{Limit, Loan, Pools};
use crate::row::{micros, queue};
use crate::sql::Statements;

pub(crate) use crate::ask::Values;

/// How often a transaction that lost against another one is run again.
const CONFLICTS: usize = 5;
/// The shortest time for which a caller's id is remembered.
const LEAST_KEY: Duration = Duration::from_secs(3600);

/// What statements need beside their values.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) pools: Pools,
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
        self.run(op, &Rows(sql, values)).await
    }

    /// Runs statements as one transaction, and again if it lost against another one.
    pub(crate) async fn query_all(
        &self,
        op: Op,
        statements: &[(&str, Vec<&(dyn ToSql + Sync)>)],
    ) -> Result<Vec<Vec<Row>>> {
        self.run(op, &Several(statements)).await
    }

    /// As [`Database::query_all`]; an error of a statement is for the caller to read.
    pub(crate) async fn try_query_all(
        &self,
        op: Op,
        statements: &[(&str, Vec<&(dyn ToSql + Sync)>)],
    ) -> Result<Result<Vec<Vec<Row>>, tokio_postgres::Error>> {
        self.try_run(op, &Several(statements)).await
    }

    /// As [`Database::query`], and answers how many rows were changed.
    pub(crate) async fn execute(&self, op: Op, sql: &str, values: Values<'_>) -> Result<u64> {
        self.run(op, &Changed(sql, values)).await
    }

    /// Runs one statement that publishes, and again if it lost against another transaction; another
    /// error of the statement is for the caller to read.
    pub(crate) async fn publish(
        &self,
        sql: &str,
        values: TypedValues<'_>,
    ) -> Result<Result<Vec<Row>, tokio_postgres::Error>> {
        let limit = self.limit();
        let mut conflicts = 0;
        loop {
            let (loan, own) = self.pools.publishing(limit, &self.sql).await?;
            let answer = if own {
                let values: Vec<_> = values.iter().map(|(value, _)| *value).collect();
                self.ask(Op::Publish, loan, limit, &Rows(sql, &values))
                    .await?
            } else {
                self.ask(Op::Publish, loan, limit, &Unprepared(sql, values))
                    .await?
            };
            match answer {
                Err(error) if conflicts < CONFLICTS && is_conflict(&error) => conflicts += 1,
                answer => return Ok(answer),
            }
        }
    }

    async fn run<A: Ask>(&self, op: Op, what: &A) -> Result<A::Answer> {
        let answer = self.try_run(op, what).await?;
        answer.map_err(|error| postgres(op, error))
    }

    /// Asks on a connection of our own, and again if it was undone because of another transaction.
    async fn try_run<A: Ask>(
        &self,
        op: Op,
        what: &A,
    ) -> Result<Result<A::Answer, tokio_postgres::Error>> {
        let limit = self.limit();
        let mut conflicts = 0;
        loop {
            let loan = self.pools.own(op, limit, &self.sql).await?;
            match self.ask(op, loan, limit, what).await? {
                Err(error) if conflicts < CONFLICTS && is_conflict(&error) => conflicts += 1,
                answer => return Ok(answer),
            }
        }
    }

    async fn ask<A: Ask>(
        &self,
        op: Op,
        mut loan: Loan,
        limit: Limit,
        what: &A,
    ) -> Result<Result<A::Answer, tokio_postgres::Error>> {
        if loan.is_new {
            // The one before it may have ended with a crash of the server.
            self.frontiers.doubt();
        }
        let started = Instant::now();
        let answer = tokio::time::timeout_at(limit.until, what.ask(&mut loan)).await;
        let answer = answer.map_err(|_| timed_out(op, limit.time))?;
        loan.give_back();
        self.times.lock().took(op.as_str(), started.elapsed());
        Ok(answer)
    }

    /// The limit of an operation that begins now: its connections, its repeats and everything.
    pub(crate) fn limit(&self) -> Limit {
        Limit {
            time: self.timeout,
            until: tokio::time::Instant::now() + self.timeout,
        }
    }

    /// Closes the connections that nobody uses, and the others when they come back.
    pub(crate) fn close(&self) {
        self.pools.close();
    }
}

fn name(notify: Option<&Arc<Notify>>) -> &'static str {
    match notify {
        Some(_) => "notify_queue",
        None => "poll_queue",
    }
}
