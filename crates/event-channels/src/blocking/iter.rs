//! Events as an iterator.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use events_core::{BoxSubscription, Closer, EventMessage, Next, Op, Result};

use super::portal::Portal;
use crate::iter::Reader;
use crate::shared::Shared;

/// The events of a channel, as an iterator that blocks until the next one comes.
///
/// An `Err` item for which [`Error::stream_continues`](crate::Error::stream_continues) is true
/// does not end it; any other error is the last item. It ends when it is closed through its
/// [`Events::closer`] or the channel is shut down. Dropping it gives back what it has not yielded;
/// what it has yielded stays held until it is settled or its lease ends.
#[must_use = "an iterator does nothing unless it is advanced"]
pub struct Events {
    reader: Reader,
    portal: Arc<Portal>,
}

impl Events {
    pub(super) fn new(
        shared: Arc<Shared>,
        portal: Arc<Portal>,
        subscription: BoxSubscription,
    ) -> Self {
        Self {
            reader: Reader::new(shared, subscription),
            portal,
        }
    }

    /// The next event; `None` when the iterator has ended or `timeout` passes first. Which of the
    /// two it was says [`Events::has_ended`].
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Result<EventMessage>> {
        self.next_until(Instant::now().checked_add(timeout))
    }

    /// Iterates until no event has come for `timeout`.
    pub fn timeout_iter(&mut self, timeout: Duration) -> TimeoutIter<'_> {
        TimeoutIter {
            events: self,
            timeout,
        }
    }

    /// Whether nothing more will come.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.reader.ended
    }

    /// A switch that ends this iterator from another thread, also while it blocks.
    #[must_use]
    pub fn closer(&self) -> Closer {
        self.reader.subscription.closer()
    }

    fn next_until(&mut self, until: Option<Instant>) -> Option<Result<EventMessage>> {
        if self.reader.ended {
            return None;
        }
        if let Err(error) = Portal::check(Op::Receive) {
            return self.reader.yielded(Some(Err(error)));
        }
        let next = {
            let _inside = self.portal.enter();
            self.reader.subscription.wait_next(until)
        };
        match next {
            Next::Event(item) => self.reader.yielded(Some(item)),
            Next::Ended => self.reader.yielded(None),
            Next::TimedOut => None,
        }
    }
}

impl Iterator for Events {
    type Item = Result<EventMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(None)
    }
}

impl std::iter::FusedIterator for Events {}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("subscription", &self.reader.subscription)
            .field("ended", &self.reader.ended)
            .finish()
    }
}

/// The events of a channel until none has come for a while; see [`Events::timeout_iter`].
#[derive(Debug)]
pub struct TimeoutIter<'a> {
    events: &'a mut Events,
    timeout: Duration,
}

impl Iterator for TimeoutIter<'_> {
    type Item = Result<EventMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        self.events.next_timeout(self.timeout)
    }
}
