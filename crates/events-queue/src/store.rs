//! What a database supplies to the lease engine.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use events_core::{
    Capabilities, ChannelName, DeadLetter, EventId, EventParts, GroupName, HoldToken, Pending,
    Stats, Timestamp,
};

use crate::Wakes;

/// A set of queue tables.
///
/// Every operation is started by the call, or at the latest when its [`Pending`] is polled,
/// started or waited for; from then on it runs to its end whatever happens to the `Pending`.
/// Rows of a claim whose answer nobody received are released by the store.
/// The clock is the database's.
pub trait QueueStore: fmt::Debug + Send + Sync + 'static {
    /// The canonical name of the backend that this store makes.
    fn name(&self) -> &'static str;

    /// What it promises.
    fn capabilities(&self) -> Capabilities;

    /// The bells that it rings after each commit that makes something claimable.
    fn wakes(&self) -> &Arc<Wakes>;

    /// Stores events in one transaction, one row for each registered group of their channel; a
    /// channel without a group gets the default group. Answers how many were not repeats.
    fn insert(&self, rows: Vec<NewRow>) -> Pending<usize>;

    /// Registers a group; answers its queue, whether it is new or not.
    fn register(&self, channel: ChannelName, group: Option<GroupName>) -> Pending<Registration>;

    /// Takes up to `limit` events under a lease, in one transaction.
    fn claim(&self, claim: Claim) -> Pending<Claimed>;

    /// Leaves a claim for later: the transaction that next makes something claimable in its queue
    /// carries it out as well, so that a waiting consumer is woken with what it would ask for.
    /// The answer may be empty; dropping it takes the claim back. A wake that the claim was
    /// carried out for is not rung too. `None` where a store cannot do this.
    fn claim_later(&self, claim: Claim) -> Option<Pending<Claimed>> {
        let _ = claim;
        None
    }

    /// Records verdicts, each fenced by its token; answers each in order.
    fn settle(&self, settlements: Vec<StoreSettlement>) -> Pending<Vec<Outcome>>;

    /// Deletes at most `limit` rows that retention has passed, in one short transaction.
    fn clean_up(&self, limit: usize) -> Pending<CleanUp>;

    /// Counts what is stored.
    fn stats(&self, channel: Option<ChannelName>) -> Pending<Vec<Stats>>;

    /// The newest dead letters.
    fn dead_letters(&self, channel: ChannelName, limit: usize) -> Pending<Vec<DeadLetter>>;

    /// Moves dead letters back into their queue.
    fn requeue(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64>;

    /// Deletes dead letters.
    fn purge_dead(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64>;

    /// Does one round trip; answers the database's name and version.
    fn ping(&self) -> Pending<String>;

    /// Finishes what was started and closes connections, also if nobody waits for it; later calls
    /// answer `Closed`. A second call is answered when the first one is through.
    fn close(&self) -> Pending<()>;
}

/// An event to store.
#[derive(Debug, Clone)]
pub struct NewRow {
    /// Its id.
    pub id: EventId,
    /// Whether the caller chose the id, so that storing it twice must be prevented.
    pub keyed: bool,
    /// Everything else.
    pub parts: EventParts,
}

/// A registered consumer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// The queue of that channel and group.
    pub queue_id: i64,
    /// Whether this call registered it.
    pub created: bool,
}

/// A request for events.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The queue.
    pub queue_id: i64,
    /// The most events wanted, at least 1.
    pub limit: usize,
    /// Whether an event whose lease had ended may be taken, alone.
    pub suspects: bool,
    /// How long they are held.
    pub lease: Duration,
    /// Events whose lease ended after this many claims become dead letters.
    pub max_attempts: u32,
}

/// What a claim found.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// Events in the order of delivery.
    pub rows: Vec<Row>,
    /// The only row is one whose lease had ended before.
    pub alone: bool,
    /// How long until something becomes claimable by itself: a delay or another's lease ends.
    pub next_due: Option<Duration>,
    /// Whether the store is sure to ring when something appears, so that idle consumers need not
    /// look as often as the poll interval says.
    pub told: bool,
    /// When it began, of a claim that was left for later.
    pub begun: Option<Instant>,
    /// How many events became dead letters because of `max_attempts`.
    pub dead: usize,
    /// How many events had expired.
    pub expired: usize,
}

/// A claimed event as it is stored; decoded only when it is handed over.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of EventMessage")]
pub struct Row {
    pub token: HoldToken,
    pub event_id: EventId,
    pub payload: String,
    pub metadata: Option<String>,
    pub available_at: Timestamp,
    pub lease_expires_at: Timestamp,
    pub created_at: Timestamp,
    /// After this moment it is not handed over.
    pub expires_at: Option<Timestamp>,
}

/// A verdict for the store.
#[derive(Debug, Clone)]
pub struct StoreSettlement {
    /// The holding.
    pub token: HoldToken,
    /// Must agree with the row, so that the receipt of another database changes nothing.
    pub event_id: EventId,
    /// What to record.
    pub verdict: StoreVerdict,
}

/// A verdict with its policy decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreVerdict {
    /// Handled: keep for retention, or delete.
    Ack,
    /// Try again after this time.
    Retry {
        /// The wait.
        after: Duration,
        /// What the consumer said.
        error: Option<String>,
    },
    /// Make it a dead letter.
    Dead {
        /// Why.
        reason: DeadReason,
        /// What the consumer said.
        error: Option<String>,
    },
    /// Hold it for this long from now.
    Extend(Duration),
    /// Give it back; the attempt is not counted.
    Release {
        /// It was claimed alone, and will be again.
        suspect: bool,
    },
}

/// What is noted of an event that became a dead letter because nobody said anything.
pub const LEASE_ENDED: &str = "the lease ended without a verdict";

/// Why an event was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadReason {
    /// It was claimed `max_attempts` times.
    MaxAttempts,
    /// A consumer said never to try again.
    Rejected,
    /// It was not delivered in time.
    Expired,
    /// It is no JSON.
    Undecodable,
}

impl DeadReason {
    /// The text that is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxAttempts => "max_attempts",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Undecodable => "undecodable",
        }
    }
}

/// What became of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Recorded; also after the lease ended, if nobody claimed the event since.
    Recorded,
    /// The same holding was acknowledged before.
    AlreadyAcked,
    /// The same holding was given up before.
    AlreadyNacked,
    /// Another claim has overtaken it, or the row is gone.
    Gone,
}

/// What a clean-up did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CleanUp {
    /// Rows deleted.
    pub deleted: usize,
    /// Events that had expired unclaimed.
    pub expired: usize,
    /// Whether more is waiting.
    pub more: bool,
}
