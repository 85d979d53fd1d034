//! The queue store: each operation is a task of its own.

use std::sync::Arc;

use events_core::{
    Capabilities, ChannelName, Closer, DeadLetter, EventId, FanOut, GroupName, Op, Pending,
    SettlementMode, Stats, Wakes as WakeMode,
};
use events_queue::{
    Claim, Claimed, CleanUp, NewRow, Outcome, QueueStore, Registration, Row, StoreSettlement,
    StoreVerdict, Wakes,
};

use crate::database::Database;
use crate::error::postgres;
use crate::gather::Gather;
use crate::insert::Publishing;
use crate::register::register;
use crate::settle::Settling;
use crate::tasks::Tasks;
use crate::{admin, claim, clean_up};

/// Longer identifiers are cut by PostgreSQL.
const MAX_NAME_BYTES: usize = 63;

/// Queue tables in a PostgreSQL database.
#[derive(Debug)]
pub struct PostgresStore {
    db: Arc<Database>,
    tasks: Arc<Tasks>,
    publishing: Arc<Gather<Publishing>>,
    settling: Arc<Gather<Settling>>,
    /// Closed when the store is closed to the end.
    closed: Closer,
}

impl PostgresStore {
    pub(crate) fn new(db: Arc<Database>, tasks: Arc<Tasks>) -> Self {
        Self {
            publishing: Gather::new(Publishing(Arc::clone(&db))),
            settling: Gather::new(Settling(Arc::clone(&db))),
            closed: Closer::new(),
            db,
            tasks,
        }
    }

    pub(crate) fn db(&self) -> &Arc<Database> {
        &self.db
    }
}

impl QueueStore for PostgresStore {
    fn name(&self) -> &'static str {
        self.db.name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: true,
            fan_out: FanOut::Groups,
            settlement: SettlementMode::Lease,
            wakes: match self.db.notify {
                Some(_) => WakeMode::Push,
                None => WakeMode::InProcess,
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
        &self.db.wakes
    }

    fn insert(&self, rows: Vec<NewRow>) -> Pending<usize> {
        let (publishing, tasks) = (Arc::clone(&self.publishing), Arc::clone(&self.tasks));
        self.tasks
            .submit_line(Op::Publish, move || publishing.ask(&tasks, rows))
    }

    fn register(&self, channel: ChannelName, group: Option<GroupName>) -> Pending<Registration> {
        let db = Arc::clone(&self.db);
        self.tasks.submit(Op::Subscribe, move || async move {
            register(&db, &channel, group.as_ref()).await
        })
    }

    fn claim(&self, claim: Claim) -> Pending<Claimed> {
        let db = Arc::clone(&self.db);
        let salvage = {
            let (settling, tasks) = (Arc::clone(&self.settling), Arc::downgrade(&self.tasks));
            move |claimed: Claimed| {
                if let Some(tasks) = tasks.upgrade() {
                    release(claimed, &settling, &tasks);
                }
            }
        };
        self.tasks
            .submit_salvaged(Op::Claim, Box::new(salvage), move || async move {
                claim::claim(&db, &claim).await
            })
    }

    fn settle(&self, settlements: Vec<StoreSettlement>) -> Pending<Vec<Outcome>> {
        // What is given back is given back even while the store is being closed.
        let own = settlements
            .iter()
            .all(|s| matches!(s.verdict, StoreVerdict::Release { .. }));
        let (settling, tasks) = (Arc::clone(&self.settling), Arc::clone(&self.tasks));
        let work = move || settling.ask(&tasks, settlements);
        if own {
            return self.tasks.submit_own(Op::Claim, move || work().keep());
        }
        self.tasks.submit_line(Op::Ack, work)
    }

    fn clean_up(&self, limit: usize) -> Pending<CleanUp> {
        let db = Arc::clone(&self.db);
        self.tasks.submit(Op::CleanUp, move || async move {
            clean_up::clean_up(&db, limit).await
        })
    }

    fn stats(&self, channel: Option<ChannelName>) -> Pending<Vec<Stats>> {
        let db = Arc::clone(&self.db);
        self.tasks.submit(Op::Admin, move || async move {
            admin::stats(&db, channel.as_ref()).await
        })
    }

    fn dead_letters(&self, channel: ChannelName, limit: usize) -> Pending<Vec<DeadLetter>> {
        let db = Arc::clone(&self.db);
        self.tasks.submit(Op::Admin, move || async move {
            admin::dead_letters(&db, &channel, limit).await
        })
    }

    fn requeue(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64> {
        let db = Arc::clone(&self.db);
        self.tasks.submit(Op::Admin, move || async move {
            admin::requeue(&db, &channel, ids.as_deref()).await
        })
    }

    fn purge_dead(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64> {
        let db = Arc::clone(&self.db);
        self.tasks.submit(Op::Admin, move || async move {
            admin::purge_dead(&db, &channel, ids.as_deref()).await
        })
    }

    fn ping(&self) -> Pending<String> {
        let db = Arc::clone(&self.db);
        self.tasks.submit(Op::Admin, move || async move {
            let rows = db.query(Op::Admin, &db.sql.ping, &[]).await?;
            let row = rows.first().expect("an aggregate has one row");
            let version: String = row.try_get(0).map_err(|e| postgres(Op::Admin, e))?;
            Ok(format!("PostgreSQL {version}"))
        })
    }

    fn close(&self) -> Pending<()> {
        if self.tasks.close() {
            let (db, tasks) = (Arc::clone(&self.db), Arc::clone(&self.tasks));
            let done = Done(self.closed.clone());
            self.tasks.spawn(async move {
                // This task is one of those that run.
                tasks.drained(1).await;
                tasks.sweep();
                tasks.drained(1).await;
                if let Some(notify) = &db.notify {
                    notify.closer.close();
                    // A row that stays ages.
                    let _ = db.execute(Op::Shutdown, &db.sql.leave, &[&notify.me]).await;
                }
                db.close();
                drop(done);
            });
        }
        let closed = self.closed.clone();
        Pending::from_future(async move {
            closed.closed().await;
            Ok(())
        })
    }
}

/// Tells that the store is closed, also when its task ends with its runtime.
struct Done(Closer);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Drop for PostgresStore {
    /// Ends the task that listens, if nobody closed the store.
    fn drop(&mut self) {
        if let Some(notify) = &self.db.notify {
            notify.closer.close();
        }
    }
}

/// Gives back events of a claim whose consumer is gone.
fn release(claimed: Claimed, settling: &Arc<Gather<Settling>>, tasks: &Arc<Tasks>) {
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
    let (settling, own) = (Arc::clone(settling), Arc::clone(tasks));
    let work = move || settling.ask(&own, settlements).keep();
    tasks.submit_own(Op::Claim, work).detach();
}
