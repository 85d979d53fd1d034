//! The contract of `event-channels`: what a message is, what a backend promises, how it fails.
//!
//! This crate knows no runtime and no database driver.
//! Applications use the `event-channels` crate, which re-exports what they need from here;
//! authors of a backend implement [`Backend`] and need nothing else.

mod admin;
mod backend;
mod capabilities;
mod closer;
mod envelope;
mod error;
mod id;
mod message;
mod meters;
mod name;
mod op;
mod payload;
mod pending;
mod publish;
mod seconds;
pub mod spans;
mod subscription;
pub mod telemetry;
mod trace_parent;

pub use admin::{Admin, DeadLetter, GroupStats, Stats};
pub use backend::{Backend, Health, RetryAfter, Settled, Settlement, Subscribe, Verdict};
pub use capabilities::{Capabilities, FanOut, SettlementMode, Wakes};
pub use closer::Closer;
pub use envelope::{MAX_NOTIFY_BYTES, NotifyEnvelope, fits_notify_payload, measure_notify_payload};
pub use error::{BoxError, Error, ErrorKind, Gap, Result};
pub use id::EventId;
pub use jiff::Timestamp;
pub use message::{EventMessage, HoldToken, Receipt};
pub use meters::Meters;
pub use name::{ChannelName, GroupName, MAX_NAME_BYTES, MAX_TABLE_BYTES, TableName};
pub use op::Op;
pub use payload::{MAX_DEPTH, MAX_METADATA_BYTES, MAX_PAYLOAD_BYTES, Metadata, Payload};
pub use pending::{Operation, Pending, block_on_until};
pub use publish::{EventParts, NewEvent, PublishOptions};
pub use subscription::{BoxSubscription, Next, Overflow, StreamSubscription, Subscription};
pub use trace_parent::TraceParent;
