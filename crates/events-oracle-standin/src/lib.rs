//! A stand-in for Oracle's client library, with a small server behind it.
//!
//! ODPI-C, which the `oracle` crate is built on, opens Oracle's client library at run time and looks
//! up by name what it calls. This library has those entry points, so that the unmodified crate runs
//! against it where no Oracle software exists. It shows how our code drives the crate: connecting,
//! binding, fetching, transactions, cancelling, lost sessions. It cannot show that Oracle accepts our
//! SQL: behind the interface are engines that know our statements, not Oracle.
//!
//! It is a test tool: never published, and never named as Oracle's library is. A test places a
//! link of that name into a folder of its own.

mod call;
mod control;
/// What executes statements, one part of the server each.
pub mod engine;
mod error;
mod gate;
mod number;
mod oci;
mod process;
mod server;
mod session;
mod sql;
mod value;

pub use call::Call;
pub use engine::{Engine, Outcome, Rows};
pub use error::OraError;
pub use server::{Plan, Server, WRONG_PASSWORD, install};
pub use value::{Bind, Binds, Column, Kind, Value};
