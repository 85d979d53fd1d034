//! Events through Oracle's Advanced Queuing (`aq`) and Transactional Event Queues (`txeventq`).
//!
//! A queue is made by a DBA or by `events migrate up --backend aq`; this crate uses it through
//! `DBMS_AQ`. A session holds one message, and its transaction is the hold: an ack commits, a nack
//! without delay rolls back, and a session that is gone was rolled back by the server. Every consumer
//! has threads and sessions of its own, one for each event that it may hold. In a queue for multiple
//! consumers each group of a channel is a subscriber.
//!
//! It was run against a stand-in for Oracle's client library, not yet against an Oracle server.

mod admin;
mod answer;
mod backend;
mod census;
mod config;
mod context;
mod dead;
mod desk;
mod envelope;
mod group;
mod message;
pub mod migrate;
mod open;
mod pause;
mod publisher;
mod queue;
mod seat;
mod sql;
mod subscription;
mod verdicts;
mod view;

pub use backend::AqBackend;
pub use config::{AqConfig, Flavour, Visibility};
pub use open::open;
