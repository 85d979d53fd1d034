//! Native notifications on PostgreSQL: LISTEN and NOTIFY.
//!
//! Most programs use this backend through the `event-channels` crate. Alone it gives publish and
//! subscribe:
//!
//! ```no_run
//! use events_core::{Backend as _, ChannelName, NewEvent, Subscribe};
//! use events_pg_native::{Endpoint, NotifyConfig, open};
//! use futures_util::StreamExt as _;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> events_core::Result<()> {
//! let endpoint = Endpoint::parse("postgres://localhost/db")?;
//! let backend = open(NotifyConfig::new(endpoint), &tokio::runtime::Handle::current()).await?;
//! let mut events = backend.subscribe(Subscribe::new(ChannelName::new("orders")?)).await?;
//! let ids = backend.publish(vec![NewEvent::new("orders", "first")]).await?;
//! let message = events.next().await.expect("the subscription is open")?;
//! assert_eq!(message.event_id, ids[0]);
//! # Ok(()) }
//! ```
//!
//! Delivery is at most once, and only to those who listen at that moment. What a subscription can
//! rely on:
//!
//! - It is live when `subscribe` answers: what is published afterwards arrives.
//! - After every interruption it yields one gap, once it is live again and before any later event.
//! - A consumer that is too slow is told how many events it missed, or as `Overflow` says.
//! - No event is delivered twice.

mod backend;
mod buffer;
mod config;
mod connector;
mod endpoint;
mod error;
mod handover;
mod hub;
mod job;
mod line;
pub mod link;
pub mod migrate;
mod notify;
mod open;
mod probe;
mod publication;
mod publisher;
mod server_error;
mod session;
mod sessions;
mod spill;
mod spilled;
mod sql;
mod subscription;
mod tls;
mod topics;
mod transaction;
mod verifier;
mod wheel;

pub use backend::NotifyBackend;
pub use config::{NotifyConfig, Publish};
pub use connector::{Connector, TlsConnector};
pub use deadpool_postgres::{self, Pool};
pub use endpoint::Endpoint;
pub use error::{driver as driver_error, pool as pool_error};
pub use open::open;
pub use spill::Spill;
pub use tokio_postgres;
pub use transaction::{OpenTransaction, TransactionalPublish, Wake};
