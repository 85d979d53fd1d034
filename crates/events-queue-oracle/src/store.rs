//! The queue store: each operation is the work of a session's thread.

use std::sync::Arc;

use events_core::{
    Capabilities, ChannelName, DeadLetter, EventId, FanOut, GroupName, MAX_NAME_BYTES, Op, Pending,
    Result, SettlementMode, Stats, Wakes as WakeMode,
};
use events_oracle_session::{WeakWorkers, Workers};
use events_queue::{
    Claim, Claimed, CleanUp, NewRow, Outcome, QueueStore, Registration, Row, StoreSettlement,
    StoreVerdict, Wakes,
};

use crate::database::{Database, Turn};
use crate::error::BACKEND;
use crate::register::register;
use crate::{admin, claim, clean_up, insert, settle};

/// Queue tables in an Oracle database.
#[derive(Debug)]
pub struct OracleStore {
    db: Arc<Database>,
    workers: Workers,
}

impl OracleStore {
    pub(crate) fn new(db: Database, workers: Workers) -> Self {
        Self {
            db: Arc::new(db),
            workers,
        }
    }

    fn transact<T: Send + 'static>(
        &self,
        op: Op,
        mut work: impl FnMut(&mut Turn<'_>) -> Result<T> + Send + 'static,
    ) -> Pending<T> {
        let db = Arc::clone(&self.db);
        self.workers
            .submit(op, move |session| db.transaction(session, op, &mut work))
    }
}

impl QueueStore for OracleStore {
    fn name(&self) -> &'static str {
        BACKEND
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: true,
            fan_out: FanOut::Groups,
            settlement: SettlementMode::Lease,
            wakes: WakeMode::InProcess,
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
        &self.db.wakes
    }

    fn insert(&self, rows: Vec<NewRow>) -> Pending<usize> {
        self.transact(Op::Publish, move |turn| insert::insert(turn, &rows))
    }

    fn register(&self, channel: ChannelName, group: Option<GroupName>) -> Pending<Registration> {
        self.transact(Op::Subscribe, move |turn| {
            register(turn, &channel, group.as_ref())
        })
    }

    fn claim(&self, claim: Claim) -> Pending<Claimed> {
        let salvage = {
            let (db, workers) = (Arc::clone(&self.db), self.workers.downgrade());
            move |claimed| release(claimed, &db, &workers)
        };
        let db = Arc::clone(&self.db);
        self.workers
            .submit_salvaged(Op::Claim, salvage, move |session| {
                db.transaction(session, Op::Claim, |turn| claim::claim(turn, &claim))
            })
    }

    fn settle(&self, settlements: Vec<StoreSettlement>) -> Pending<Vec<Outcome>> {
        // What is given back is given back even while the store is being closed.
        let own = settlements
            .iter()
            .all(|s| matches!(s.verdict, StoreVerdict::Release { .. }));
        if own {
            let db = Arc::clone(&self.db);
            return self.workers.submit_own(Op::Claim, move |session| {
                db.transaction(session, Op::Claim, |turn| {
                    settle::settle(turn, &settlements)
                })
            });
        }
        self.transact(Op::Ack, move |turn| settle::settle(turn, &settlements))
    }

    fn clean_up(&self, limit: usize) -> Pending<CleanUp> {
        self.transact(Op::CleanUp, move |turn| clean_up::clean_up(turn, limit))
    }

    fn stats(&self, channel: Option<ChannelName>) -> Pending<Vec<Stats>> {
        self.transact(Op::Admin, move |turn| admin::stats(turn, channel.as_ref()))
    }

    fn dead_letters(&self, channel: ChannelName, limit: usize) -> Pending<Vec<DeadLetter>> {
        self.transact(Op::Admin, move |turn| {
            admin::dead_letters(turn, &channel, limit)
        })
    }

    fn requeue(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64> {
        self.transact(Op::Admin, move |turn| {
            admin::requeue(turn, &channel, ids.as_deref())
        })
    }

    fn purge_dead(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64> {
        self.transact(Op::Admin, move |turn| {
            admin::purge_dead(turn, &channel, ids.as_deref())
        })
    }

    fn ping(&self) -> Pending<String> {
        let db = Arc::clone(&self.db);
        self.workers.submit(Op::Admin, move |session| {
            db.transaction(session, Op::Admin, |turn| {
                turn.query(&db.sql.ping, &[], |_| Ok(()))
            })?;
            Ok(format!("Oracle {}", session.version()))
        })
    }

    fn close(&self) -> Pending<()> {
        self.workers.close()
    }
}

/// Gives back events of a claim whose consumer is gone.
fn release(claimed: Claimed, db: &Arc<Database>, workers: &WeakWorkers) {
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
    let db = Arc::clone(db);
    workers.run(Op::Claim, move |session| {
        db.transaction(session, Op::Claim, |turn| {
            settle::settle(turn, &settlements)
        })
    });
}
