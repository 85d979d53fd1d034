//! Durable event queues on SQLite.
//!
//! Most programs use this backend through the `event-channels` crate. Alone it gives publish,
//! subscribe and settle:
//!
//! ```
//! use events_core::{Backend as _, ChannelName, NewEvent, Subscribe};
//! use events_queue_sqlite::{SqliteConfig, open};
//! use futures_util::StreamExt as _;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> events_core::Result<()> {
//! let backend = open(SqliteConfig::memory(), &tokio::runtime::Handle::current())?;
//! let ids = backend.publish(vec![NewEvent::new("orders", "first")]).await?;
//! let mut events = backend.subscribe(Subscribe::new(ChannelName::new("orders")?)).await?;
//! let message = events.next().await.expect("the subscription is open")?;
//! assert_eq!(message.event_id, ids[0]);
//! # Ok(()) }
//! ```

mod admin;
mod aside;
mod bell;
mod bury;
mod claim;
mod clean_up;
mod config;
mod database;
mod error;
mod failpoint;
mod file;
mod identity;
mod insert;
mod job;
mod leader;
mod log;
pub mod migrate;
mod open;
#[cfg(test)]
mod plan_tests;
mod queue;
mod register;
mod row;
mod settle;
mod sql;
mod standing;
mod status;
mod steps;
mod store;
#[cfg(test)]
mod store_tests;
mod ticket;
mod transaction;
mod upkeep;
mod writer;

pub use config::{Location, SqliteConfig};
#[cfg(feature = "_failpoints")]
#[doc(hidden)]
pub use failpoint::limit_pages;
pub use open::{connect, look, open};
pub use rusqlite;
pub use rusqlite::Connection;
pub use store::SqliteStore;
pub use transaction::{Bell, OpenTransaction, TransactionalPublish};
