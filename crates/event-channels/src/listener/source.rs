//! Where a listener's events come from: a subscription that is made anew when it is lost.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use events_core::{BoxSubscription, Error, ErrorKind, EventMessage, Op, Pending, Subscribe};
use futures_core::Stream;
use tokio::time::Sleep;

use super::handling::Handling;

/// Growing pauses: 50 ms, then twice as long each time.
#[derive(Debug, Default)]
pub(crate) struct Pause(u32);

impl Pause {
    pub(crate) fn next(&mut self, most: Duration) -> Duration {
        let pause = Duration::from_millis(50).saturating_mul(1 << self.0.min(16));
        self.0 = self.0.saturating_add(1);
        pause.min(most)
    }

    pub(crate) fn reset(&mut self) {
        self.0 = 0;
    }
}

/// What a look at the source brought.
pub(crate) enum Found {
    Event(EventMessage),
    /// Nothing to handle, but something else happened: look again.
    Again,
    /// The channel is closed.
    Closed,
}

pub(crate) struct Source {
    handling: Arc<Handling>,
    request: Subscribe,
    state: State,
    pause: Pause,
}

enum State {
    Live(BoxSubscription),
    Pausing(Pin<Box<Sleep>>),
    Subscribing(Pending<BoxSubscription>),
    Dropped,
}

impl Source {
    pub(crate) fn new(
        handling: Arc<Handling>,
        request: Subscribe,
        subscription: BoxSubscription,
    ) -> Self {
        Self {
            handling,
            request,
            state: State::Live(subscription),
            pause: Pause::default(),
        }
    }

    /// Gives back what was claimed and not handed over.
    pub(crate) fn drop_subscription(&mut self) {
        self.state = State::Dropped;
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Found> {
        match &mut self.state {
            State::Live(subscription) => match Pin::new(subscription).poll_next(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Ok(message))) => {
                    self.pause.reset();
                    Poll::Ready(Found::Event(message))
                }
                Poll::Ready(Some(Err(error))) if error.stream_continues() => {
                    self.handling.notice(&error);
                    Poll::Ready(Found::Again)
                }
                Poll::Ready(Some(Err(error))) => self.lost(&error),
                Poll::Ready(None) => self.lost(&ended()),
            },
            State::Pausing(sleep) => sleep.as_mut().poll(cx).map(|()| {
                let request = self.request.clone();
                self.state = State::Subscribing(self.handling.shared.subscribe(request));
                Found::Again
            }),
            State::Subscribing(pending) => match Pin::new(pending).poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(subscription)) => {
                    self.state = State::Live(subscription);
                    Poll::Ready(Found::Again)
                }
                Poll::Ready(Err(error)) => self.lost(&error),
            },
            State::Dropped => Poll::Pending,
        }
    }

    fn lost(&mut self, error: &Error) -> Poll<Found> {
        if error.kind() == ErrorKind::Closed {
            self.state = State::Dropped;
            return Poll::Ready(Found::Closed);
        }
        self.handling.reconnecting(error);
        let pause = self.pause.next(longest_pause(&self.request));
        self.state = State::Pausing(Box::pin(tokio::time::sleep(pause)));
        Poll::Ready(Found::Again)
    }
}

/// A subscription ended although nobody closed it.
pub(crate) fn ended() -> Error {
    Error::new(ErrorKind::Unavailable, Op::Receive).because("the subscription ended")
}

/// The longest pause before a lost subscription is made anew.
pub(crate) fn longest_pause(request: &Subscribe) -> Duration {
    let second = Duration::from_secs(1);
    request
        .poll_interval
        .map_or(second, |interval| interval.max(second))
}
