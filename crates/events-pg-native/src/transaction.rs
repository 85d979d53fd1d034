//! Publishing in a transaction of the caller's own: the event is sent if and only if whatever else
//! the transaction does is.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use events_core::{Error, ErrorKind, EventId, NewEvent, Op, Result};
use tokio_postgres::Transaction;

use crate::NotifyBackend;
use crate::error::{BACKEND, driver};
use crate::job::Outgoing;
use crate::notify::notify;
use crate::publisher::count;

mod sealed {
    pub trait Sealed {}
    impl Sealed for tokio_postgres::Transaction<'_> {}
    impl Sealed for deadpool_postgres::Transaction<'_> {}
}

/// A transaction or savepoint of tokio-postgres, or of a connection of a deadpool.
pub trait OpenTransaction: sealed::Sealed + Sync {
    /// The driver's own.
    fn driver(&self) -> &Transaction<'_>;
}

impl OpenTransaction for Transaction<'_> {
    fn driver(&self) -> &Transaction<'_> {
        self
    }
}

impl OpenTransaction for deadpool_postgres::Transaction<'_> {
    fn driver(&self) -> &Transaction<'_> {
        self
    }
}

/// Publishes in a transaction of the caller's own, on any connection to the database of the
/// channel.
///
/// The same rules hold as for `publish`. Nobody sees the events before the commit, and after a
/// rollback there are none. After the commit call [`Wake::wake`].
pub trait TransactionalPublish {
    /// Publishes one event.
    ///
    /// # Errors
    /// `InvalidInput` for an event that breaks a rule, and then nothing was sent to the server;
    /// otherwise what the server says, which ends the transaction as any failed statement does.
    fn publish_in<T: OpenTransaction>(
        &self,
        tx: &T,
        event: NewEvent,
    ) -> impl Future<Output = Result<(EventId, Wake)>> + Send
    where
        Self: Sync,
    {
        async move {
            let (ids, wake) = self.publish_many_in(tx, vec![event]).await?;
            let id = ids.first().copied().ok_or_else(|| {
                Error::new(ErrorKind::Backend, Op::Publish).because("no id was answered")
            })?;
            Ok((id, wake))
        }
    }

    /// Publishes events in order, all of them or none; the ids come in the same order.
    ///
    /// # Errors
    /// As [`TransactionalPublish::publish_in`].
    fn publish_many_in<T: OpenTransaction>(
        &self,
        tx: &T,
        events: Vec<NewEvent>,
    ) -> impl Future<Output = Result<(Vec<EventId>, Wake)>> + Send;
}

/// What is left to do once the transaction is committed.
///
/// Dropping it loses no event. What it does is the backend's: notifications arrive without it, and
/// only go uncounted.
#[must_use = "call wake() after the commit"]
pub struct Wake(Box<dyn FnOnce() + Send + Sync>);

impl Wake {
    /// Runs this after the commit.
    pub fn new(after_commit: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Box::new(after_commit))
    }

    /// To be called after the commit; before it, or after a rollback, it does no harm beyond
    /// counting what was not published.
    pub fn wake(self) {
        (self.0)();
    }
}

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wake").finish_non_exhaustive()
    }
}

impl TransactionalPublish for NotifyBackend {
    async fn publish_many_in<T: OpenTransaction>(
        &self,
        tx: &T,
        events: Vec<NewEvent>,
    ) -> Result<(Vec<EventId>, Wake)> {
        self.check_open(Op::Publish)?;
        let begun = Instant::now();
        let outgoing = self
            .outgoing(events)
            .map_err(|error| error.during(Op::Publish).in_backend(BACKEND))?;
        if !outgoing.is_empty() {
            let all: Vec<&Outgoing> = outgoing.iter().collect();
            let sent = notify(tx.driver(), None, &all, self.publisher.spill.as_deref()).await;
            sent.map_err(|error| driver(Op::Publish, error))?;
        }
        let ids = outgoing.iter().map(|event| event.id).collect();
        let publisher = Arc::clone(&self.publisher);
        let (meters, took) = (Arc::clone(&self.meters), begun.elapsed());
        let wake = Wake::new(move || {
            count(&meters, &outgoing, took);
            publisher.clean_spilled();
        });
        Ok((ids, wake))
    }
}
