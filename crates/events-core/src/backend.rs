//! The backend trait: a way to carry events through a database.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::seconds::seconds;
use crate::{
    Admin, BoxSubscription, Capabilities, ChannelName, Error, ErrorKind, EventId, FanOut,
    GroupName, NewEvent, Op, Pending, Receipt, Result,
};

/// A way to carry events through a database. Object safe; chosen at run time.
///
/// Every operation is started by the call and owned by a thread or task of the backend.
/// Dropping the returned [`Pending`] abandons the answer, never the work, so no cancelled call
/// can lose an event.
pub trait Backend: Any + fmt::Debug + Send + Sync {
    /// The canonical name: `poll_queue`, `notify`, `notify_queue`, `aq` or `txeventq`.
    fn name(&self) -> &'static str;

    /// What it promises.
    fn capabilities(&self) -> Capabilities;

    /// How long a consumer holds an event unless it renews its lease. `None` where nothing is held
    /// under a lease, or where only the messages tell.
    fn lease(&self) -> Option<Duration> {
        None
    }

    /// Stores or sends events, in order; the answer has their ids in the same order.
    ///
    /// Where [`Capabilities::atomic_batch`] is true, either all are stored or none. The answer
    /// comes after the commit.
    fn publish(&self, events: Vec<NewEvent>) -> Pending<Vec<EventId>>;

    /// Starts a consumer; it is live when the answer is there, so an event published afterwards
    /// is not missed.
    fn subscribe(&self, request: Subscribe) -> Pending<BoxSubscription>;

    /// Records verdicts, and answers each in order.
    fn settle(&self, settlements: Vec<Settlement>) -> Pending<Vec<Result<Settled>>>;

    /// Operations on what is stored; `None` where nothing is.
    fn admin(&self) -> Option<&dyn Admin>;

    /// Does one round trip to the database.
    fn health(&self) -> Pending<Health>;

    /// Ends subscriptions, gives back what was not handed over and closes connections.
    /// Later calls answer `Closed`, except this one, which is answered when the first is through.
    fn shutdown(&self) -> Pending<()>;
}

const _: Option<&dyn Backend> = None; // object safety is part of the contract

/// A request for a consumer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Subscribe {
    /// The channel to consume.
    pub channel: ChannelName,
    /// The consumer group; `None` is the default group.
    pub group: Option<GroupName>,
    /// How many events are handled at the same time; prefetching starts from it.
    pub concurrency: usize,
    /// How many events may be held ahead of their handling; `None` adapts.
    pub prefetch: Option<usize>,
    /// The longest wait between two looks at the database; `None` is the configured one.
    pub poll_interval: Option<Duration>,
    /// Verdicts come from elsewhere while it waits: a consumer that holds all it may waits for one
    /// instead of answering `Unsettled`.
    pub listening: bool,
}

impl Subscribe {
    /// A consumer of the default group that handles one event at a time.
    #[must_use]
    pub fn new(channel: ChannelName) -> Self {
        Self {
            channel,
            group: None,
            concurrency: 1,
            prefetch: None,
            poll_interval: None,
            listening: false,
        }
    }

    /// Refuses what a backend with these capabilities cannot honour, and numbers that cannot work.
    ///
    /// # Errors
    /// `Unsupported` for a group where there are none; `InvalidInput` for a name that is too long,
    /// for a concurrency or prefetch of zero and for a poll interval of zero.
    pub fn check_supported(&self, capabilities: &Capabilities) -> Result<()> {
        capabilities.check_name("channel", self.channel.as_str(), Op::Subscribe)?;
        if let Some(group) = &self.group {
            if capabilities.fan_out != FanOut::Groups {
                return Err(Error::new(ErrorKind::Unsupported, Op::Subscribe).because(
                    "this backend has no consumer groups; leave the group out, or use the backend poll_queue, or on PostgreSQL notify_queue",
                ));
            }
            capabilities.check_name("group", group.as_str(), Op::Subscribe)?;
        }
        let refused = if self.concurrency == 0 {
            "concurrency must be at least 1, not 0"
        } else if self.prefetch == Some(0) {
            "prefetch must be at least 1, not 0; leave it out to adapt"
        } else if self.poll_interval.is_some_and(|time| time.is_zero()) {
            "poll_interval must be greater than zero, not 0s"
        } else {
            return Ok(());
        };
        Err(Error::invalid_input(Op::Subscribe, refused))
    }
}

/// When an event that was not handled is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RetryAfter {
    /// As the back-off policy of the configuration says; a dead letter after `max_attempts`.
    #[default]
    Policy,
    /// After this time; a dead letter after `max_attempts`.
    Delay(Duration),
    /// Not at all: it becomes a dead letter now.
    Never,
}

/// What a consumer decided about an event that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Handled.
    Ack,
    /// Not handled; `reason` is kept with the event.
    Nack {
        /// When to try again.
        retry: RetryAfter,
        /// Why, in words; cut at 2 KiB.
        reason: Option<String>,
    },
    /// Hold it for this long from now.
    Extend(Duration),
    /// Give it back untouched: the attempt is not counted.
    Release,
}

/// A verdict about one holding.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The event, which must agree with the receipt.
    pub event_id: EventId,
    /// The holding.
    pub receipt: Receipt,
    /// The decision.
    pub verdict: Verdict,
}

/// What became of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Settled {
    /// It was recorded.
    Recorded,
    /// The holding was acknowledged before; that stands.
    AlreadyAcked,
    /// The holding was given up before; that stands.
    AlreadyNacked,
    /// The backend records nothing.
    NothingToRecord,
}

/// The answer of a healthy backend.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// The backend's name.
    pub backend: &'static str,
    /// The database and its version.
    pub database: String,
    /// How long the round trip took; serialised in seconds, as `round_trip_seconds`.
    #[serde(rename = "round_trip_seconds", serialize_with = "seconds")]
    pub round_trip: Duration,
}

impl Health {
    /// A report.
    #[must_use]
    pub fn new(backend: &'static str, database: String, round_trip: Duration) -> Self {
        Self {
            backend,
            database,
            round_trip,
        }
    }
}
