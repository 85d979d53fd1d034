//! What all parts of one backend share: settings, found queues, and who holds what.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use events_core::{
    ChannelName, Error, EventId, HoldToken, Meters, Op, Receipt, Result, Settled, Settlement,
    Verdict,
};
use events_oracle_session::Session;
use parking_lot::Mutex;

use crate::answer::{Answer, Promise, promised};
use crate::config::{AqConfig, Visibility};
use crate::desk::Desk;
use crate::group::{self, Group};
use crate::queue::{Queue, QueueName};
use crate::verdicts::Verdicts;

/// A verdict on its way to the session that holds the message.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) verdict: Verdict,
    pub(crate) answer: Promise,
}

/// A message that a session holds.
#[derive(Debug)]
pub(crate) struct Hold {
    event: EventId,
    desk: Arc<Desk>,
    order: Mutex<Option<Order>>,
}

/// A session's side of a hold; when it is dropped, nobody can settle the message any more.
pub(crate) struct Held<'a> {
    context: &'a Context,
    row: i64,
    hold: Arc<Hold>,
}

impl Held<'_> {
    pub(crate) fn row(&self) -> i64 {
        self.row
    }

    /// The verdict, if there is one.
    pub(crate) fn order(&self) -> Option<Order> {
        self.hold.order.lock().take()
    }

    /// Gives the message up, unless a verdict came just before.
    pub(crate) fn let_go(&self) -> Option<Order> {
        self.context.holds.lock().remove(&self.row);
        self.order()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.context.holds.lock().remove(&self.row);
    }
}

pub(crate) struct Context {
    pub(crate) config: AqConfig,
    pub(crate) name: &'static str,
    pub(crate) queue_name: QueueName,
    pub(crate) meters: Meters,
    /// Tells receipts of this backend from those of others.
    id: i64,
    next: AtomicI64,
    holds: Mutex<HashMap<i64, Arc<Hold>>>,
    verdicts: Verdicts,
    found: Mutex<HashMap<String, Queue>>,
}

/// What a verdict is answered: at once, or when the session has done it.
pub(crate) enum Reply {
    Now(Result<Settled>),
    Later(Answer),
}

impl Context {
    pub(crate) fn new(config: AqConfig) -> Result<Self> {
        config.check()?;
        let name = config.flavour.name();
        Ok(Self {
            name,
            queue_name: QueueName::parse(&config.queue)?,
            meters: Meters::new(Arc::clone(&config.telemetry), name),
            id: fastrand::i64(..),
            next: AtomicI64::new(1),
            holds: Mutex::default(),
            verdicts: Verdicts::default(),
            found: Mutex::default(),
            config,
        })
    }

    pub(crate) fn settles(&self) -> bool {
        self.config.visibility == Visibility::OnCommit
    }

    /// The queue of a channel, looked up once.
    pub(crate) fn queue(&self, session: &Session, op: Op, channel: &ChannelName) -> Result<Queue> {
        let name = self.queue_name.of(channel);
        if let Some(found) = self.found.lock().get(&name) {
            return Ok(found.clone());
        }
        let found = Queue::find(session, op, &name, self.config.groups)?;
        self.found.lock().insert(name, found.clone());
        Ok(found)
    }

    /// Registers a group; true when it was not.
    pub(crate) fn register(&self, session: &Session, op: Op, group: &Group) -> Result<bool> {
        let queue = self.queue(session, op, &group.channel)?;
        group::register(session, op, &queue, group, &self.queue_name)
    }

    /// Takes a group off; false when it was not registered.
    pub(crate) fn unregister(&self, session: &Session, group: &Group) -> Result<bool> {
        let queue = self.queue(session, Op::Admin, &group.channel)?;
        group::unregister(session, &queue, group)
    }

    /// Registers the default group of a channel, in a queue with groups, that has none. Without one the server would
    /// refuse what is published, or keep it for nobody; so it is looked for each time.
    pub(crate) fn have_group(
        &self,
        session: &Session,
        op: Op,
        channel: &ChannelName,
    ) -> Result<()> {
        let queue = self.queue(session, op, channel)?;
        let groups = group::registered(session, op, &queue)?;
        if groups.iter().any(|group| group.channel == *channel) {
            return Ok(());
        }
        let default = Group::new(channel.clone(), None);
        self.register(session, op, &default).map(drop)
    }

    /// Notes a message that a session of this desk holds.
    pub(crate) fn hold(
        &self,
        desk: &Arc<Desk>,
        event: EventId,
        attempts: u32,
    ) -> (Held<'_>, Receipt) {
        let row = self.next.fetch_add(1, Ordering::Relaxed);
        let hold = Arc::new(Hold {
            event,
            desk: Arc::clone(desk),
            order: Mutex::new(None),
        });
        self.holds.lock().insert(row, Arc::clone(&hold));
        let token = HoldToken {
            queue_id: self.id,
            row,
            fence: 0,
            priority: 0,
            attempts,
            keyed: false,
        };
        let held = Held {
            context: self,
            row,
            hold,
        };
        (held, Receipt::Held(token))
    }

    /// The verdict could not be recorded: the message comes back.
    pub(crate) fn unrecorded(&self, row: i64) {
        self.verdicts.forget(row);
    }

    /// Sends a verdict to the session that holds the message.
    pub(crate) fn settle(&self, settlement: Settlement) -> Reply {
        let Receipt::Held(token) = settlement.receipt else {
            return Reply::Now(Ok(Settled::NothingToRecord));
        };
        let mut holds = self.holds.lock();
        let held = holds
            .get(&token.row)
            .filter(|hold| token.queue_id == self.id && hold.event == settlement.event_id)
            .cloned();
        let Some(hold) = held else {
            drop(holds);
            let known = (token.queue_id == self.id)
                .then(|| self.verdicts.of(token.row))
                .flatten();
            return Reply::Now(known.ok_or_else(|| self.lost(&settlement)));
        };
        let first = match settlement.verdict {
            // The transaction of the session is the hold, and has no end.
            Verdict::Extend(_) => return Reply::Now(Ok(Settled::NothingToRecord)),
            Verdict::Ack => Settled::AlreadyAcked,
            _ => Settled::AlreadyNacked,
        };
        holds.remove(&token.row);
        self.verdicts.note(token.row, first);
        let (promise, answer) = promised();
        *hold.order.lock() = Some(Order {
            verdict: settlement.verdict,
            answer: promise,
        });
        // Not before the order is there: a session that lets go looks for one last time.
        drop(holds);
        hold.desk.wake();
        Reply::Later(answer)
    }

    fn lost(&self, settlement: &Settlement) -> Error {
        let op = match settlement.verdict {
            Verdict::Ack => Op::Ack,
            Verdict::Extend(_) => Op::Extend,
            _ => Op::Nack,
        };
        Error::new(events_core::ErrorKind::HoldLost, op)
            .because(format!(
                "no session of this channel object holds event {} under this receipt; it was rolled back with its session and comes again",
                settlement.event_id
            ))
            .in_backend(self.name)
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
