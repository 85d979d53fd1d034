//! Sessions on an Oracle database, as both backends of `event-channels` on Oracle need them.
//!
//! The driver blocks, so each session lives on a thread of its own: [`Workers`] are those of calls
//! that are over soon, and take jobs from async and blocking callers alike; a listener that waits
//! inside the database makes a [`Session`] for itself and ends the wait through its
//! [`Interrupter`].
//!
//! Oracle's client library is looked for when the first session is made, not before, so a program
//! that never opens an Oracle database runs without it.
//!
//! ```no_run
//! use std::time::Duration;
//! use events_core::Op;
//! use events_oracle_session::{Server, Session};
//!
//! # fn main() -> events_core::Result<()> {
//! let server = Server::parse("oracle://app@db.example.org:1521/FREEPDB1")?.with_password("…");
//! let session = Session::connect(&server, "poll_queue", Some(Duration::from_secs(30)))?;
//! println!("Oracle {}", session.version());
//! # Ok(()) }
//! ```

mod batch;
mod class;
mod error;
mod job;
mod server;
mod session;
mod threads;
mod ticket;
mod value;
mod version;
mod workers;

pub use class::Class;
pub use error::{class_of, closed, oracle_error};
pub use oracle;
pub use server::{PASSWORD_VARIABLE, Server};
pub use session::{Binds, Interrupter, Session};
pub use value::{Columns, Value};
pub use version::ServerVersion;
pub use workers::{WeakWorkers, Workers};
