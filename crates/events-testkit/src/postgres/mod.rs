//! PostgreSQL servers for tests: started here, owned here, gone with the test process.
//!
//! [`database`] is what most tests want: a database of their own on the server that the test
//! binary shares. A test that stops, kills or configures its server starts a [`Server`].
//!
//! `EVENTS_TEST_POSTGRES_URL` names a server to use instead of the shared one.

mod client;
mod pooler;
mod programs;
mod rest;
mod server;
mod shared;
mod supervisor;

pub use client::{Rows, query};
pub use pooler::Pooler;
pub use rest::rows_at_rest;
pub use server::{Server, ServerOptions, Stop};
pub use shared::{Database, database};
