//! A TCP proxy that does to connections what networks do to them.
//!
//! It stands between a client and a server, and is told what to do while they talk: hold bytes
//! back, delay them, hand them on one by one, end connections with FIN or RST, or let one die
//! silently while new ones work.

mod connection;
mod fault_proxy;

pub use fault_proxy::{Direction, FaultProxy, Flow, Upstream};
