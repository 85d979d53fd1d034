//! A transaction on a session: statements, and who is woken once it is committed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use events_core::telemetry::StatementTimes;
use events_core::{ChannelName, Op, Result};
use events_oracle_session::oracle::{self, Row};
use events_oracle_session::{Binds, Session, Value};
use events_queue::{AckDurability, Durability, QueueConfig, Wakes};
use parking_lot::Mutex;

use crate::error::BACKEND;
use crate::sql::Statements;

/// The shortest time for which a caller's id is remembered.
const LEAST_KEY: Duration = Duration::from_secs(3600);

/// What every operation needs beside a session.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) sql: Statements,
    pub(crate) config: QueueConfig,
    pub(crate) wakes: Arc<Wakes>,
    times: Mutex<StatementTimes>,
}

/// A transaction in progress.
pub(crate) struct Turn<'a> {
    pub(crate) db: &'a Database,
    session: &'a Session,
    op: Op,
    rings: Vec<Ring>,
    wrote: bool,
}

/// Who is woken after the commit.
#[derive(Debug)]
pub(crate) enum Ring {
    Channel(ChannelName, usize),
    Queue(i64),
}

impl Database {
    pub(crate) fn new(config: QueueConfig) -> Self {
        Self {
            sql: Statements::new(&config.table),
            wakes: Arc::new(Wakes::new()),
            times: Mutex::new(StatementTimes::new(BACKEND)),
            config,
        }
    }

    /// How long a caller's id is remembered once every group has settled its event.
    pub(crate) fn keep_keys(&self) -> Duration {
        self.config.retention.max(LEAST_KEY)
    }

    /// Does work in one transaction, commits it if anything was written, and then wakes who waits.
    pub(crate) fn transaction<T>(
        &self,
        session: &Session,
        op: Op,
        work: impl FnOnce(&mut Turn<'_>) -> Result<T>,
    ) -> Result<T> {
        let started = Instant::now();
        let mut turn = Turn {
            db: self,
            session,
            op,
            rings: Vec::new(),
            wrote: false,
        };
        let answer = work(&mut turn)?;
        if turn.wrote {
            if self.is_relaxed(op) {
                session.commit_relaxed(op)?;
            } else {
                session.commit(op)?;
            }
        }
        self.times.lock().took(op.as_str(), started.elapsed());
        for ring in turn.rings {
            match ring {
                Ring::Channel(channel, events) => self.wakes.ring_channel(&channel, events),
                Ring::Queue(queue_id) => self.wakes.ring_queue(queue_id, 1),
            }
        }
        Ok(answer)
    }

    /// Whether an operation is answered before its redo is on disk: losing it repeats an event.
    fn is_relaxed(&self, op: Op) -> bool {
        match op {
            Op::Claim | Op::Ack => self.config.ack_durability == AckDurability::Relaxed,
            Op::Publish => self.config.durability == Durability::Process,
            _ => false,
        }
    }
}

impl Turn<'_> {
    /// Reads every row of a query.
    pub(crate) fn query<T>(
        &self,
        sql: &str,
        binds: &Binds<'_>,
        read: impl FnMut(&Row) -> oracle::Result<T>,
    ) -> Result<Vec<T>> {
        self.session.query(self.op, sql, binds, usize::MAX, read)
    }

    /// Reads at most `limit` rows of a query.
    pub(crate) fn query_some<T>(
        &self,
        sql: &str,
        binds: &Binds<'_>,
        limit: usize,
        read: impl FnMut(&Row) -> oracle::Result<T>,
    ) -> Result<Vec<T>> {
        self.session.query(self.op, sql, binds, limit, read)
    }

    /// Reads and locks at most `limit` rows.
    pub(crate) fn lock<T>(
        &mut self,
        sql: &str,
        binds: &Binds<'_>,
        limit: usize,
        read: impl FnMut(&Row) -> oracle::Result<T>,
    ) -> Result<Vec<T>> {
        // A lock needs a commit even if nothing is written.
        self.wrote = true;
        self.session.query_locked(self.op, sql, binds, limit, read)
    }

    /// Runs a statement; answers how many rows it changed.
    pub(crate) fn execute(&mut self, sql: &str, binds: &Binds<'_>) -> Result<u64> {
        self.wrote = true;
        self.session.execute(self.op, sql, binds)
    }

    /// As [`Turn::execute`], for a caller who reads the code of an error.
    pub(crate) fn try_execute(&mut self, sql: &str, binds: &Binds<'_>) -> oracle::Result<u64> {
        self.wrote = true;
        self.session.try_execute(sql, binds)
    }

    /// Runs a statement for each row of binds, in one round trip.
    pub(crate) fn each(&mut self, sql: &str, rows: &[Vec<(&str, Value)>]) -> Result<Vec<u64>> {
        self.wrote |= !rows.is_empty();
        self.session.execute_each(self.op, sql, rows)
    }

    /// Wakes somebody after the commit.
    pub(crate) fn ring(&mut self, ring: Ring) {
        self.rings.push(ring);
    }

    /// The error of the driver in our words.
    pub(crate) fn failed(&self, error: oracle::Error) -> events_core::Error {
        events_oracle_session::oracle_error(self.op, BACKEND, error)
    }
}
