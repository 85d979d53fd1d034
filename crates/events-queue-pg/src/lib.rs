//! Durable event queues on PostgreSQL.
//!
//! Most programs use this backend through the `event-channels` crate. Alone it gives publish,
//! subscribe and settle:
//!
//! ```no_run
//! use events_core::{Backend as _, ChannelName, NewEvent, Subscribe};
//! use events_queue_pg::{Endpoint, PostgresConfig, open};
//! use futures_util::StreamExt as _;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> events_core::Result<()> {
//! let config = PostgresConfig::new(Endpoint::parse("postgres://app@localhost/app")?);
//! let backend = open(config, &tokio::runtime::Handle::current()).await?;
//! let ids = backend.publish(vec![NewEvent::new("orders", "first")]).await?;
//! let mut events = backend.subscribe(Subscribe::new(ChannelName::new("orders")?)).await?;
//! let message = events.next().await.expect("the subscription is open")?;
//! assert_eq!(message.event_id, ids[0]);
//! # Ok(()) }
//! ```

mod admin;
mod ask;
mod claim;
mod clean_up;
mod config;
mod database;
mod error;
mod frontier;
mod gather;
mod horizon;
mod insert;
pub mod migrate;
mod notify;
mod open;
#[cfg(test)]
mod plan_tests;
mod pools;
mod register;
mod row;
mod settle;
mod sql;
mod store;
mod tasks;
mod ticket;
mod transaction;
mod turn;
mod walk;

pub use config::PostgresConfig;
pub use events_pg_native::link::Heartbeat;
pub use events_pg_native::{Endpoint, OpenTransaction, Pool, Publish, Wake};
pub use open::{connect, open};
pub use store::PostgresStore;
pub use transaction::publish_many_in;
