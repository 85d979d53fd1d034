//! Operations on what a durable backend stores.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::seconds::optional_seconds;
use crate::{ChannelName, EventId, GroupName, Metadata, Pending};

/// Operations on what a durable backend stores, reached through [`crate::Backend::admin`].
pub trait Admin: fmt::Debug + Send + Sync {
    /// Registers a group, so that it receives what is published from now on. Doing it again
    /// changes nothing. The answer is true when it was not registered before.
    fn subscribe_group(&self, channel: ChannelName, group: Option<GroupName>) -> Pending<bool>;

    /// Counts what is stored, for one channel or for all.
    fn stats(&self, channel: Option<ChannelName>) -> Pending<Vec<Stats>>;

    /// The newest dead letters of a channel, at most `limit`.
    fn dead_letters(&self, channel: ChannelName, limit: usize) -> Pending<Vec<DeadLetter>>;

    /// Puts dead letters back into their queue with a fresh count of attempts; `None` is all of
    /// the channel. Answers how many. A backend may take several transactions for many of them, so
    /// that after an error some are moved; calling again goes on.
    fn requeue(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64>;

    /// Deletes dead letters for good; `None` is all of the channel. Answers how many. Many may be
    /// deleted in several transactions.
    fn purge_dead(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64>;
}

/// What is stored for one channel.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// The channel.
    pub channel: ChannelName,
    /// One entry for each registered group.
    pub groups: Vec<GroupStats>,
}

impl Stats {
    /// Counts of a channel without groups yet.
    #[must_use]
    pub fn new(channel: ChannelName) -> Self {
        Self {
            channel,
            groups: Vec::new(),
        }
    }

    /// The sum over all groups.
    #[must_use]
    pub fn total(&self) -> GroupStats {
        self.groups
            .iter()
            .fold(GroupStats::default(), |mut sum, group| {
                sum.ready += group.ready;
                sum.delayed += group.delayed;
                sum.leased += group.leased;
                sum.acked += group.acked;
                sum.dead += group.dead;
                sum.oldest_ready_age = sum.oldest_ready_age.max(group.oldest_ready_age);
                sum
            })
    }
}

/// What is stored for one consumer group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GroupStats {
    /// The group; `None` is the default group.
    pub group: Option<GroupName>,
    /// Events that can be claimed now.
    pub ready: u64,
    /// Events that wait for their time: a delay or a back-off.
    pub delayed: u64,
    /// Events that a consumer holds.
    pub leased: u64,
    /// Acknowledged events that are still kept.
    pub acked: u64,
    /// Dead letters.
    pub dead: u64,
    /// How long the oldest ready event has been available; serialised in seconds, as
    /// `oldest_ready_age_seconds`.
    #[serde(
        rename = "oldest_ready_age_seconds",
        serialize_with = "optional_seconds"
    )]
    pub oldest_ready_age: Option<Duration>,
}

/// An event that was given up.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The event.
    pub event_id: EventId,
    /// Its channel.
    pub channel: ChannelName,
    /// The group that gave it up; `None` is the default group.
    pub group: Option<GroupName>,
    /// The payload; text that is not JSON is shown as a string.
    pub payload: Value,
    /// The metadata.
    pub metadata: Option<Metadata>,
    /// How often it was claimed.
    pub attempts: u32,
    /// `max_attempts`, `rejected`, `expired` or `undecodable`.
    pub reason: String,
    /// The last reason that a consumer gave.
    pub last_error: Option<String>,
    /// When it was published.
    pub created_at: Timestamp,
    /// When it was given up.
    pub died_at: Timestamp,
}

impl DeadLetter {
    /// A dead letter; set the other fields after.
    #[must_use]
    pub fn new(
        event_id: EventId,
        channel: ChannelName,
        reason: String,
        died_at: Timestamp,
    ) -> Self {
        Self {
            event_id,
            channel,
            group: None,
            payload: Value::Null,
            metadata: None,
            attempts: 0,
            reason,
            last_error: None,
            created_at: died_at,
            died_at,
        }
    }
}
