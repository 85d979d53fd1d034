//! What is recorded: one JSON object a line.

use event_channels::EventId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Answer, Moment};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When, in nanoseconds of the clock that never jumps.
    pub at: u64,
    /// When, in microseconds since 1970.
    pub wall: i64,
    /// Which process; each start of a program has a name of its own.
    pub process: String,
    /// What happened.
    pub what: What,
}

impl Record {
    /// A record of this moment.
    #[must_use]
    pub fn new(at: Moment, process: &str, what: What) -> Self {
        Self {
            at: at.steady,
            wall: at.wall,
            process: process.to_owned(),
            what,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The process begins.
    Started,
    /// The process ends by itself and has nothing under way.
    Ended,
    /// Another process is about to be killed; from now on it may be dead.
    Killed(String),
    /// The power was lost, or made to look so.
    PowerLost,
    /// An operation begins. Written before it does.
    Invoke {
        /// Its number in this process.
        call: u64,
        /// What is asked for.
        op: Op,
    },
    /// An operation has ended. Written after it has.
    Return {
        /// Its number in this process.
        call: u64,
        /// How it ended.
        answer: Answer,
    },
    /// A row of the tables, looked at when nobody was at work any more.
    Row(Row),
    /// All rows have been recorded.
    RowsEnd,
}

/// What an operation asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Store events, all or none.
    Publish {
        /// Where.
        channel: String,
        /// What.
        events: Vec<Sent>,
    },
    /// Wait for the next event.
    Receive {
        /// Which consumer of the process; each receives one event after another.
        consumer: u32,
        /// Where.
        channel: String,
        /// As a member of which group; the default one has no name.
        group: Option<String>,
    },
    /// Say what became of a delivery.
    Settle {
        /// The call that received it, in the same process.
        delivery: u64,
        /// What became of it.
        verdict: Verdict,
    },
    /// Put a dead letter back.
    Requeue {
        /// The event.
        event: EventId,
    },
}

/// An event as it was handed to publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The id, if the publisher chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<EventId>,
    /// The [`hash`] of the payload. Unique in a history if ids are generated and publishers die.
    pub payload: u64,
    /// Higher is delivered first.
    #[serde(default)]
    pub priority: i16,
    /// Not delivered before so many microseconds have passed.
    #[serde(default)]
    pub delay: u64,
}

impl Sent {
    /// An event with this payload and nothing else.
    #[must_use]
    pub fn new(payload: &Value) -> Self {
        Self {
            id: None,
            payload: hash(payload),
            priority: 0,
            delay: 0,
        }
    }
}

/// What a consumer says of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Handled.
    Ack,
    /// Not handled.
    Nack,
    /// Never to be tried again.
    Reject,
    /// Hold it for so many microseconds from now.
    Extend(u64),
    /// Given back untouched: the attempt is not counted.
    Release,
}

/// A row of the tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The event.
    pub event: EventId,
    /// Its channel.
    pub channel: String,
    /// The group that it is stored for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What became of it.
    pub state: State,
    /// How often it was claimed without being released.
    pub attempts: u32,
    /// How often it was claimed, where the backend counts that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<i64>,
    /// The [`hash`] of the payload.
    pub payload: u64,
}

/// What became of a stored event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It can be claimed.
    Ready,
    /// It waits for its time.
    Delayed,
    /// Somebody holds it.
    Leased,
    /// It was acknowledged.
    Acked,
    /// It was given up after the last attempt.
    Exhausted,
    /// A consumer said never to try it again, or it cannot be decoded.
    Rejected,
    /// It was not delivered in time.
    Expired,
}

/// A short hash of a payload; equal JSON has equal hashes.
#[must_use]
pub fn hash(payload: &Value) -> u64 {
    // Objects of `serde_json` are sorted by key, so this text is the same for equal values.
    let digest = Sha256::digest(payload.to_string());
    digest
        .iter()
        .take(8)
        .fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equal_payloads_have_equal_hashes() {
        let written: Value = serde_json::from_str(r#"{"b": 1, "a": [1.0, "x"]}"#).unwrap();
        assert_eq!(hash(&written), hash(&json!({"a": [1.0, "x"], "b": 1})));
        assert_ne!(hash(&json!("1")), hash(&json!(1)));
    }
}
