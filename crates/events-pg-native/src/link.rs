//! The session that listens and what else is needed to build on this crate: the queue on
//! PostgreSQL wakes its consumers with it.

pub use crate::error::is_conflict;
pub use crate::session::{Change, Happening, Heartbeat, Session};
pub use tokio_postgres::Notification;
