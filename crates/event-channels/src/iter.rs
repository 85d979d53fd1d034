//! Events as a stream.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use events_core::{
    BoxSubscription, ChannelName, Closer, Error, EventMessage, GroupName, Op, Result, Subscribe,
};
use futures_core::Stream;

use crate::shared::Shared;

/// How a channel is consumed by `iter_events_with`.
///
/// ```
/// use std::time::Duration;
/// use event_channels::IterOptions;
///
/// let options = IterOptions::new().group("billing").poll_interval(Duration::from_millis(200));
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct IterOptions {
    group: Option<Result<GroupName>>,
    poll_interval: Option<Duration>,
    prefetch: Option<usize>,
}

impl IterOptions {
    /// The default group, and the configuration's poll interval and prefetch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Consumes as a member of this consumer group. A bad name is reported by the call.
    pub fn group<G>(mut self, group: G) -> Self
    where
        G: TryInto<GroupName>,
        Error: From<G::Error>,
    {
        self.group = Some(group.try_into().map_err(Error::from));
        self
    }

    /// The longest wait between two looks at the database; must be greater than zero.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = Some(interval);
        self
    }

    /// How many events may be held ahead of their handling, at least 1; without it the number
    /// adapts to how fast they are handled.
    pub fn prefetch(mut self, events: usize) -> Self {
        self.prefetch = Some(events);
        self
    }

    pub(crate) fn request(
        self,
        op: Op,
        channel: ChannelName,
        shared: &Shared,
    ) -> Result<Subscribe> {
        let mut request = Subscribe::new(channel);
        request.group = self.group.transpose().map_err(|error| error.during(op))?;
        request.poll_interval = self.poll_interval.or(shared.options.poll_interval);
        request.prefetch = self.prefetch.or(shared.options.prefetch);
        Ok(request)
    }
}

/// The events of a channel, as a stream.
///
/// An `Err` item for which [`Error::stream_continues`] is true does not end it: a gap, lag, or a
/// failure that is tried again after a pause. Any other error is the last item.
///
/// Polling is safe to cancel. Dropping the stream gives back what it has not yielded; what it has
/// yielded stays held until it is settled or its lease ends, and is extended by the caller.
/// The stream works on when the channel object is dropped, and ends when it is shut down.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Events {
    reader: Reader,
}

impl Events {
    pub(crate) fn new(shared: Arc<Shared>, subscription: BoxSubscription) -> Self {
        Self {
            reader: Reader::new(shared, subscription),
        }
    }

    /// The next event; `None` when the stream has ended. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<EventMessage>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// A switch that ends this stream from elsewhere.
    #[must_use]
    pub fn closer(&self) -> Closer {
        self.reader.subscription.closer()
    }
}

impl Stream for Events {
    type Item = Result<EventMessage>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let reader = &mut self.get_mut().reader;
        if reader.ended {
            return Poll::Ready(None);
        }
        Pin::new(&mut reader.subscription)
            .poll_next(cx)
            .map(|item| reader.yielded(item))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("subscription", &self.reader.subscription)
            .field("ended", &self.reader.ended)
            .finish()
    }
}

/// A subscription whose messages are noted as held; under the async and the blocking iterator.
pub(crate) struct Reader {
    pub(crate) subscription: BoxSubscription,
    pub(crate) ended: bool,
    shared: Arc<Shared>,
    id: u64,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, subscription: BoxSubscription) -> Self {
        Self {
            id: shared.stream_opened(subscription.closer()),
            subscription,
            ended: false,
            shared,
        }
    }

    /// Notes what is handed over, and whether it was the last item.
    pub(crate) fn yielded(
        &mut self,
        item: Option<Result<EventMessage>>,
    ) -> Option<Result<EventMessage>> {
        match &item {
            Some(Ok(message)) => self.shared.held.insert(message),
            Some(Err(error)) => self.ended = !error.stream_continues(),
            None => self.ended = true,
        }
        item
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.stream_dropped(self.id);
    }
}
