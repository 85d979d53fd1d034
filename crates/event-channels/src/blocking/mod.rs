//! The same channels for code without an async runtime.
//!
//! Names and meanings are those of the async API; only `await` is missing. Where the driver
//! blocks, as that of SQLite does, the calling thread does the work itself.
//!
//! ```
//! # #[cfg(feature = "queue-sqlite")] {
//! use event_channels::blocking::EventChannel;
//! use serde_json::json;
//!
//! let channel = EventChannel::open("sqlite::memory:")?;
//! channel.publish("notifications", json!({"type": "refresh", "user_id": 42}))?;
//! for message in channel.iter_events("notifications")? {
//!     let message = message?;
//!     println!("{}", message.payload);
//!     channel.ack(&message)?;
//!     break;
//! }
//! # }
//! # Ok::<(), event_channels::Error>(())
//! ```
//!
//! A call from a thread that belongs to an async runtime is refused with
//! [`ErrorKind::WrongContext`](crate::ErrorKind::WrongContext), because it could hold up the very
//! task that it waits for. That includes `spawn_blocking`: use a thread of your own, or the async
//! API.

mod channel;
mod iter;
mod listener;
mod portal;

pub use channel::EventChannel;
pub use iter::{Events, TimeoutIter};
pub use listener::Listener;
