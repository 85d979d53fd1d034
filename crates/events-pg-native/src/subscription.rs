//! One consumer of a channel, as a stream and for a thread that may block.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use event_listener::EventListener;
use events_core::telemetry::{Count, Meter};
use events_core::{
    ChannelName, Closer, Error, EventMessage, Next, NotifyEnvelope, Result, Subscription,
    Timestamp, block_on_until,
};
use futures_core::Stream;

use crate::buffer::{Buffer, Item};
use crate::error::BACKEND;
use crate::hub::HubHandle;
use crate::spill::Fetcher;
use crate::spilled::Spilled;

/// A live subscription. It holds the way to the hub, so the connection lives as long as it does.
pub(crate) struct NotifySubscription {
    channel: ChannelName,
    id: u64,
    hub: Arc<HubHandle>,
    buffer: Arc<Buffer>,
    spilled: Option<Spilled>,
    meter: Arc<Meter>,
    closer: Closer,
    closing: Option<EventListener>,
}

impl NotifySubscription {
    /// Asks the hub for a subscription; it is live when the answer comes.
    pub(crate) fn ask(
        hub: &Arc<HubHandle>,
        channel: ChannelName,
        buffer: Buffer,
        fetcher: Option<Arc<Fetcher>>,
        meter: Arc<Meter>,
    ) -> (Self, tokio::sync::oneshot::Receiver<Result<()>>) {
        let buffer = Arc::new(buffer);
        let (id, live) = hub.subscribe(channel.clone(), Arc::clone(&buffer));
        let subscription = Self {
            channel,
            id,
            hub: Arc::clone(hub),
            buffer,
            spilled: fetcher.map(Spilled::new),
            meter,
            closer: Closer::new(),
            closing: None,
        };
        (subscription, live)
    }

    /// The next item, with spilled events in their places.
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        match &mut self.spilled {
            None => self.buffer.poll_next(cx),
            Some(spilled) => spilled.poll_next(&self.buffer, cx),
        }
    }

    /// The event in a notification; `None` when there is none for us in it.
    fn event(&self, text: &str) -> Option<EventMessage> {
        let Some(envelope) = NotifyEnvelope::decode(text) else {
            self.meter.add(Count::ListenerForeign, 1);
            tracing::debug!(channel = %self.channel, bytes = text.len(), "a notification carries no event");
            return None;
        };
        let lag = Timestamp::now().duration_since(envelope.published_at);
        // The publisher's clock may be ahead of ours.
        self.meter
            .delivered(Duration::try_from(lag).unwrap_or_default());
        let mut message = EventMessage::new(
            envelope.event_id,
            self.channel.clone(),
            envelope.payload,
            envelope.published_at,
        );
        message.metadata = envelope.metadata;
        Some(message)
    }
}

impl Stream for NotifySubscription {
    type Item = Result<EventMessage>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.closer.is_closed() {
            return Poll::Ready(None);
        }
        loop {
            let Poll::Ready(item) = this.poll_item(cx) else {
                // Only a consumer that really waits pays for listening to its closer.
                return this
                    .closer
                    .poll_closed(&mut this.closing, cx)
                    .map(|()| None);
            };
            return Poll::Ready(match item {
                None => None,
                Some(Item::Text(text)) => match this.event(&text) {
                    Some(message) => Some(Ok(message)),
                    None => continue,
                },
                Some(Item::Gap(gap)) => {
                    this.meter.add(Count::ListenerGap, 1);
                    Some(Err(Error::gap(gap).in_backend(BACKEND)))
                }
                Some(Item::Lagged(events)) => Some(Err(Error::lagged(events).in_backend(BACKEND))),
                Some(Item::End(error)) => Some(Err(error)),
            });
        }
    }
}

impl Subscription for NotifySubscription {
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

impl fmt::Debug for NotifySubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifySubscription")
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

impl Drop for NotifySubscription {
    fn drop(&mut self) {
        self.buffer.abandon();
        self.hub.unsubscribe(self.channel.clone(), self.id);
    }
}
