//! The stand-in as the unmodified `oracle` crate sees it.

mod connection;
mod faults;
mod pool;
mod support;
mod values;
