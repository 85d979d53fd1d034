//! The lease engine of `event-channels`, written once for all databases.
//!
//! A database supplies a [`QueueStore`]; [`QueueBackend`] makes an `events_core::Backend` of it.
//!
//! An event of one consumer group goes through these states:
//!
//! ```text
//!            publish with delay                      ack
//!        ┌──────────► delayed ─┐   ┌────────────────────────► acked ──► deleted by retention
//!        │               ▲     │due│
//! publish┴─────► ready ◄─┼─────┘   │
//!                  │     │nack     │
//!             claim│     └──────┐  │
//!                  └──────────► leased ──► dead   nack or lease end after max_attempts
//!                                  ▲ │
//!                      claim, alone│ │lease end
//!                                  │ ▼
//!                                suspect
//! ```
//!
//! - Every claim raises the row's fence and counts an attempt, so crashes count.
//! - An event whose lease ended is claimed alone: if it is what kills the process, it does not use
//!   up the attempts of its neighbours.
//! - A wake is a hint. The table is the truth, looked at once per poll interval at least.

mod alone;
mod backend;
mod backoff;
mod bell;
mod claiming;
mod clock;
mod config;
mod consumer;
mod consumer_stream;
#[cfg(test)]
mod consumer_tests;
mod engine;
mod janitor;
mod memory;
mod prefetch;
mod renewal;
mod settled;
mod settling;
mod store;
mod unheard;
mod wakes;

pub use backend::QueueBackend;
pub use backoff::Backoff;
pub use clock::Clock;
pub use config::{AckDurability, Durability, MAX_PREFETCH, QueueConfig};
pub use memory::MemoryStore;
pub use store::{
    Claim, Claimed, CleanUp, DeadReason, LEASE_ENDED, NewRow, Outcome, QueueStore, Registration,
    Row, StoreSettlement, StoreVerdict,
};
pub use wakes::Wakes;
