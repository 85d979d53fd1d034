//! Durable event queues on Oracle.
//!
//! Most programs use this backend through the `event-channels` crate. Alone it gives publish,
//! subscribe and settle:
//!
//! ```no_run
//! use events_core::{Backend as _, ChannelName, NewEvent, Subscribe};
//! use events_queue_oracle::{OracleConfig, Server, open};
//!
//! # async fn example() -> events_core::Result<()> {
//! let config = OracleConfig::new(Server::parse("oracle://app:secret@localhost/FREEPDB1")?);
//! let backend = open(config, &tokio::runtime::Handle::current())?;
//! let ids = backend.publish(vec![NewEvent::new("orders", "first")]).await?;
//! let events = backend.subscribe(Subscribe::new(ChannelName::new("orders")?)).await?;
//! # Ok(()) }
//! ```
//!
//! Oracle's client library is loaded when the queue is opened; without it that fails with an error
//! that says what to install.

mod admin;
mod bury;
mod claim;
mod clean_up;
mod config;
mod database;
mod error;
mod insert;
pub mod migrate;
mod open;
mod register;
mod row;
mod settle;
mod sql;
mod store;

pub use config::OracleConfig;
pub use events_oracle_session::Server;
pub use open::open;
pub use store::OracleStore;
