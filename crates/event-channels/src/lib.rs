#![doc = include_str!("../README.md")]
//!
//! # Features
//!
//! | Feature | Default | Brings |
//! | --- | --- | --- |
//! | `queue-sqlite` | yes | durable queue tables on SQLite |
//! | `pg-native` | no | native notifications (LISTEN/NOTIFY) on PostgreSQL |
//! | `blocking` | yes | [`blocking::EventChannel`] for code without an async runtime |

#[cfg(feature = "blocking")]
pub mod blocking;
mod channel;
mod config;
mod drained;
mod held;
mod iter;
mod listener;
mod listener_registry;
mod open;
#[cfg(any(feature = "pg-native", feature = "queue-pg"))]
pub mod postgres;
mod shared;
#[cfg(feature = "queue-sqlite")]
pub mod sqlite;
mod target;
#[cfg(test)]
mod tests;

pub use channel::EventChannel;
pub use config::{
    AqVisibility, BackendKind, EventsConfig, Fallback, OPTIONS, OptionDoc, parse_duration,
};
pub use drained::Drained;
pub use events_core::telemetry::snapshot as telemetry_snapshot;
pub use events_core::*;
pub use events_migrations as migrations;
pub use events_queue::{AckDurability, Durability};
pub use iter::{Events, IterOptions};
pub use listener::{HandlerError, HandlerResult, ListenOptions, Listener, ListenerId};
pub use target::Target;
