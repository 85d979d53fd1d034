//! What a backend promises, as data that can be printed, compared and pinned by a test.

use serde::Serialize;

use crate::{Error, Op, Result};

/// Who gets an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FanOut {
    /// Every live subscription gets every event.
    Broadcast,
    /// Each event goes to one consumer.
    Competing,
    /// Every consumer group gets every event, the members of a group compete.
    Groups,
}

/// What ack and nack mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SettlementMode {
    /// Nothing is recorded; an event is delivered at most once.
    None,
    /// A lease that ends by itself unless it is settled or extended.
    Lease,
    /// A database session holds the event; its transaction is the hold.
    Session,
}

/// How a consumer learns of a new event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wakes {
    /// By polling only.
    Poll,
    /// At once inside the publishing process, by polling across processes.
    InProcess,
    /// At once, wherever the publisher runs.
    Push,
}

/// The promises of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a table of independent promises"
)]
pub struct Capabilities {
    /// An event outlives the absence of consumers and the end of every process.
    pub durable: bool,
    /// Who gets an event.
    pub fan_out: FanOut,
    /// What ack and nack mean.
    pub settlement: SettlementMode,
    /// How consumers are woken.
    pub wakes: Wakes,
    /// `delay` is honoured.
    pub delay: bool,
    /// `priority` is honoured.
    pub priority: bool,
    /// `expires_in` is honoured.
    pub expires: bool,
    /// A caller's own `event_id` makes publishing idempotent.
    pub idempotent: bool,
    /// Events that fail too often are kept as dead letters.
    pub dead_letters: bool,
    /// `publish_many` stores all events or none.
    pub atomic_batch: bool,
    /// The largest event in bytes, when the database sets the limit rather than the configuration.
    pub max_event_bytes: Option<usize>,
    /// The longest channel name in bytes.
    pub max_name_bytes: usize,
}

impl Capabilities {
    /// Refuses a channel or group name that the database would cut.
    ///
    /// # Errors
    /// `InvalidInput` that names the length and the limit.
    pub(crate) fn check_name(&self, what: &str, name: &str, op: Op) -> Result<()> {
        if name.len() <= self.max_name_bytes {
            return Ok(());
        }
        Err(Error::invalid_input(
            op,
            format!(
                "{what} name {name:?} is {} bytes long; this backend allows {}, and longer names are never truncated",
                name.len(),
                self.max_name_bytes
            ),
        ))
    }
}
