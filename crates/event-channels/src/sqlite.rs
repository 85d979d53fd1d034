//! What only SQLite can do.

use std::any::Any;

use events_core::{Error, ErrorKind, EventId, NewEvent, Op, Result};
use events_queue::QueueBackend;
use events_queue_sqlite::SqliteStore;
pub use events_queue_sqlite::rusqlite;
pub use events_queue_sqlite::{Bell, OpenTransaction, TransactionalPublish};

use crate::EventChannel;

impl TransactionalPublish for EventChannel {
    fn publish_many_in(
        &self,
        tx: &impl OpenTransaction,
        events: impl IntoIterator<Item = NewEvent>,
    ) -> Result<(Vec<EventId>, Bell)> {
        let backend: &dyn Any = &*self.shared().backend;
        match backend.downcast_ref::<QueueBackend<SqliteStore>>() {
            Some(queue) => queue.publish_many_in(tx, events),
            None => Err(Error::new(ErrorKind::Unsupported, Op::Publish)
                .because("this channel is not on SQLite")
                .in_backend(self.backend_name())),
        }
    }
}

#[cfg(feature = "blocking")]
impl TransactionalPublish for crate::blocking::EventChannel {
    fn publish_many_in(
        &self,
        tx: &impl OpenTransaction,
        events: impl IntoIterator<Item = NewEvent>,
    ) -> Result<(Vec<EventId>, Bell)> {
        self.as_async().publish_many_in(tx, events)
    }
}
