//! One consumer of a channel, as a stream and for a thread that may block.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use event_listener::EventListener;
use events_core::{Closer, EventMessage, Next, Result, Subscription, block_on_until};
use futures_core::Stream;

use crate::desk::{Desk, Taken};

/// A live subscription; what it has handed over stays held when it is dropped.
pub(crate) struct AqSubscription {
    desk: Arc<Desk>,
    closer: Closer,
    closing: Option<EventListener>,
    arriving: Option<EventListener>,
}

impl AqSubscription {
    pub(crate) fn new(desk: Arc<Desk>) -> Self {
        Self {
            desk,
            closer: Closer::new(),
            closing: None,
            arriving: None,
        }
    }
}

impl Stream for AqSubscription {
    type Item = Result<EventMessage>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.closer.poll_closed(&mut this.closing, cx).is_ready() {
                this.desk.leave();
                return Poll::Ready(None);
            }
            // Registered before the look, so that nothing comes in between unheard.
            let mut listener = this.arriving.take().unwrap_or_else(|| this.desk.listen());
            match this.desk.take() {
                Taken::Item(item) => return Poll::Ready(Some(item)),
                Taken::Ended => return Poll::Ready(None),
                Taken::NotYet => {}
            }
            if Pin::new(&mut listener).poll(cx).is_pending() {
                this.arriving = Some(listener);
                return Poll::Pending;
            }
        }
    }
}

impl Subscription for AqSubscription {
    fn wait_next(&mut self, until: Option<Instant>) -> Next {
        let next = std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx));
        match block_on_until(next, until) {
            Some(Some(event)) => Next::Event(event),
            Some(None) => Next::Ended,
            None => Next::TimedOut,
        }
    }

    fn closer(&self) -> Closer {
        self.closer.clone()
    }
}

impl Drop for AqSubscription {
    fn drop(&mut self) {
        self.desk.leave();
    }
}

impl fmt::Debug for AqSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AqSubscription")
            .field("desk", &self.desk)
            .finish_non_exhaustive()
    }
}
