//! A live subscription: a stream in async code, `wait_next` on a thread that may block.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use event_listener::EventListener;
use futures_core::Stream;

use crate::{Closer, EventMessage, Result, block_on_until};

/// What a blocking wait for the next event ended with.
#[derive(Debug)]
pub enum Next {
    /// An event, or an error; see [`crate::Error::stream_continues`].
    Event(Result<EventMessage>),
    /// The deadline passed.
    TimedOut,
    /// The subscription was closed.
    Ended,
}

/// What happens when the buffer of a slow consumer of transient events is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// The oldest event is dropped, and the consumer told how many it missed.
    #[default]
    DropOldest,
    /// The newest event is dropped, and the consumer told how many it missed.
    DropNewest,
    /// The connection is read no further until there is room. Every subscription that shares the
    /// connection waits with it, also a new one.
    Block,
    /// The subscription ends with an error of kind [`crate::ErrorKind::Overflow`].
    Error,
}

/// The events of one consumer.
///
/// Polling is cancel safe: what was received and not yielded stays in the subscription.
/// Dropping it gives back what was not yielded. `listen` and `iter_events` are built on it.
pub trait Subscription: Stream<Item = Result<EventMessage>> + fmt::Debug + Send + Unpin {
    /// Blocks this thread until an event comes, `until` passes or the subscription is closed.
    fn wait_next(&mut self, until: Option<Instant>) -> Next;

    /// The switch that ends this subscription from any thread.
    fn closer(&self) -> Closer;
}

/// A subscription of a type chosen at run time.
pub type BoxSubscription = Box<dyn Subscription>;

/// Makes a subscription out of any stream, for backends without a blocking path of their own.
pub struct StreamSubscription<S> {
    stream: Pin<Box<S>>,
    closer: Closer,
    closing: Option<EventListener>,
}

impl<S: Stream<Item = Result<EventMessage>> + Send> StreamSubscription<S> {
    /// Wraps a stream; `closer` ends it.
    pub fn new(stream: S, closer: Closer) -> Self {
        Self {
            stream: Box::pin(stream),
            closer,
            closing: None,
        }
    }
}

impl<S: Stream<Item = Result<EventMessage>>> Stream for StreamSubscription<S> {
    type Item = Result<EventMessage>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.closer.poll_closed(&mut this.closing, cx).is_ready() {
            return Poll::Ready(None);
        }
        this.stream.as_mut().poll_next(cx)
    }
}

impl<S: Stream<Item = Result<EventMessage>> + Send> Subscription for StreamSubscription<S> {
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

impl<S> fmt::Debug for StreamSubscription<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSubscription")
            .field("closer", &self.closer)
            .finish_non_exhaustive()
    }
}
