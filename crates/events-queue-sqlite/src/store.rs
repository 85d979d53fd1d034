//! The queue store: each operation becomes a job of the writer.

use std::sync::Arc;
use std::time::Instant;

use events_core::{
    Capabilities, ChannelName, DeadLetter, EventId, FanOut, GroupName, MAX_NAME_BYTES, Op, Pending,
    SettlementMode, Stats, Wakes as WakeMode,
};
use events_queue::{
    Claim, Claimed, CleanUp, Clock, NewRow, Outcome, QueueStore, Registration, Row,
    StoreSettlement, StoreVerdict, Wakes,
};

use rusqlite::Connection;

use crate::admin::DeadWork;
use crate::aside::Aside;
use crate::bell::Ringer;
use crate::database::{Database, Session};
use crate::error::{BACKEND, sqlite};
use crate::identity::Identity;
use crate::job::{Kind, Terms};
use crate::register::register;
use crate::sql::Statements;
use crate::steps::Steps;
use crate::writer::{Shared, Writer};
use crate::{SqliteConfig, admin, claim, clean_up, insert, settle};

/// Queue tables in an SQLite database.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    ringer: Ringer,
    /// For connections of callers; the writer has its own.
    sql: Statements,
    clock: Clock,
    /// None for a database in memory, which has one connection.
    aside: Option<Aside>,
}

impl SqliteStore {
    pub(crate) fn new(
        writer: Writer,
        ringer: Ringer,
        config: &SqliteConfig,
        identity: Option<Identity>,
    ) -> Self {
        Self {
            writer,
            ringer,
            sql: Statements::in_main(&config.queue.table),
            clock: config.clock.clone(),
            aside: identity.map(|identity| Aside::new(config, identity)),
        }
    }

    #[cfg(test)]
    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    pub(crate) fn ringer(&self) -> &Ringer {
        &self.ringer
    }

    /// A session on a connection of the caller's. A temporary or attached table of the same name
    /// is not ours.
    pub(crate) fn session<'a>(&'a self, connection: &'a Connection) -> Session<'a> {
        Session {
            connection,
            sql: &self.sql,
            clock: &self.clock,
        }
    }
}

impl SqliteStore {
    /// Does something with dead letters: with those of some events at once, with all of a channel
    /// in short transactions.
    fn with_dead(
        &self,
        channel: ChannelName,
        ids: Option<Vec<EventId>>,
        work: DeadWork,
    ) -> Pending<u64> {
        if let Some(ids) = ids {
            let run = move |db: &mut _| admin::with_events(db, &channel, &ids, work);
            return self
                .writer
                .submit(Terms::new(Kind::Publish, Op::Admin), run);
        }
        let writer = Arc::clone(self.writer.shared());
        Steps::pending(move |from| {
            let channel = channel.clone();
            let terms = Terms::new(Kind::Publish, Op::Admin);
            writer.submit(terms, move |db| admin::with_all(db, &channel, work, from))
        })
    }
}

impl QueueStore for SqliteStore {
    fn name(&self) -> &'static str {
        BACKEND
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: true,
            fan_out: FanOut::Groups,
            settlement: SettlementMode::Lease,
            wakes: if self.ringer.reaches_other_processes() {
                WakeMode::Push
            } else {
                WakeMode::InProcess
            },
            delay: true,
            priority: true,
            expires: true,
            idempotent: true,
            dead_letters: true,
            atomic_batch: true,
            max_event_bytes: None,
            max_name_bytes: MAX_NAME_BYTES,
        }
    }

    fn wakes(&self) -> &Arc<Wakes> {
        self.ringer.wakes()
    }

    fn insert(&self, rows: Vec<NewRow>) -> Pending<usize> {
        let bytes = rows.iter().map(size).sum();
        let terms = Terms::new(Kind::Publish, Op::Publish).bytes(bytes);
        self.writer
            .submit(terms, move |db| insert::insert(db, &rows))
    }

    fn register(&self, channel: ChannelName, group: Option<GroupName>) -> Pending<Registration> {
        let run = move |db: &mut Database| register(db.session(), &channel, group.as_ref());
        self.writer
            .submit(Terms::new(Kind::Publish, Op::Subscribe), run)
    }

    fn claim(&self, claim: Claim) -> Pending<Claimed> {
        let mut seen = None;
        let run = move |db: &mut _| claim::claim(db, &claim, &mut seen);
        self.writer
            .submit(Terms::new(Kind::Claim, Op::Claim).salvage(release), run)
    }

    fn claim_later(&self, claim: Claim) -> Option<Pending<Claimed>> {
        let queue_id = claim.queue_id;
        let run = move |db: &mut _| {
            let begun = Some(Instant::now());
            let claimed = claim::claim(db, &claim, &mut None)?;
            Ok(Claimed { begun, ..claimed })
        };
        let terms = Terms::new(Kind::Claim, Op::Claim).salvage(release);
        Some(self.writer.shared().stand(queue_id, terms, run))
    }

    fn settle(&self, settlements: Vec<StoreSettlement>) -> Pending<Vec<Outcome>> {
        let given_back = settlements
            .iter()
            .all(|s| matches!(s.verdict, StoreVerdict::Release { .. }));
        let (kind, op) = if given_back {
            (Kind::Release, Op::Claim)
        } else {
            (Kind::Settle, Op::Ack)
        };
        let run = move |db: &mut _| settle::settle(db, &settlements);
        self.writer.submit(Terms::new(kind, op), run)
    }

    fn clean_up(&self, limit: usize) -> Pending<CleanUp> {
        self.writer
            .submit(Terms::new(Kind::CleanUp, Op::CleanUp), move |db| {
                clean_up::clean_up(db, limit)
            })
    }

    fn stats(&self, channel: Option<ChannelName>) -> Pending<Vec<Stats>> {
        match &self.aside {
            Some(aside) => {
                let (sql, clock) = (self.sql.clone(), self.clock.clone());
                aside.read(self.writer.shared(), Op::Admin, move |connection| {
                    let session = Session {
                        connection,
                        sql: &sql,
                        clock: &clock,
                    };
                    admin::stats(session, channel.as_ref())
                })
            }
            None => {
                let run = move |db: &mut Database| admin::stats(db.session(), channel.as_ref());
                self.writer.submit(Terms::new(Kind::Read, Op::Admin), run)
            }
        }
    }

    fn dead_letters(&self, channel: ChannelName, limit: usize) -> Pending<Vec<DeadLetter>> {
        let run = move |db: &mut _| admin::dead_letters(db, &channel, limit);
        self.writer.submit(Terms::new(Kind::Read, Op::Admin), run)
    }

    fn requeue(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64> {
        self.with_dead(channel, ids, admin::requeue)
    }

    fn purge_dead(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64> {
        self.with_dead(channel, ids, admin::purge_dead)
    }

    fn ping(&self) -> Pending<String> {
        self.writer.submit(Terms::new(Kind::Read, Op::Admin), |db| {
            // Touches our table, so a dropped schema is seen.
            db.statement(&db.sql.ping)?
                .query([])
                .and_then(|mut rows| rows.next().map(drop))
                .map_err(|e| sqlite(Op::Admin, e))?;
            Ok(format!("SQLite {}", rusqlite::version()))
        })
    }

    fn close(&self) -> Pending<()> {
        self.writer.close()
    }
}

/// What an event weighs in the queue.
fn size(row: &NewRow) -> usize {
    let metadata = row.parts.metadata.as_ref();
    row.parts.payload.text().len() + metadata.map_or(0, |metadata| metadata.text().len())
}

/// Gives back events of a claim whose consumer is gone.
fn release(claimed: Claimed, writer: &Arc<Shared>) {
    if claimed.rows.is_empty() {
        return;
    }
    let suspect = claimed.alone;
    let release = |row: Row| StoreSettlement {
        token: row.token,
        event_id: row.event_id,
        verdict: StoreVerdict::Release { suspect },
    };
    let settlements: Vec<_> = claimed.rows.into_iter().map(release).collect();
    let run = move |db: &mut _| settle::settle(db, &settlements);
    writer
        .submit(Terms::new(Kind::Release, Op::Claim), run)
        .detach();
}
