//! How a channel is listened to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use events_core::{ChannelName, Error, GroupName, Op, Result, Subscribe};

use crate::iter::IterOptions;
use crate::shared::Shared;

/// A function that is told of errors which do not end a listener.
pub(crate) type OnNotice = Arc<dyn Fn(&Error) + Send + Sync>;

/// How a channel is listened to; what is not set comes from the configuration.
///
/// What happens to an event:
///
/// - The handler answers `Ok`: it is acknowledged, if `auto_ack` is on.
/// - It answers `Err`, panics, or runs longer than `handler_timeout`: the event is given up with
///   that reason, and tried again after the back-off or as the
///   [`HandlerError`](crate::HandlerError) says. This does not depend on `auto_ack`; if the
///   handler had settled the event before, that stands.
/// - While a handler runs the lease is renewed, so a slow event is not delivered twice.
///
/// Acknowledgements are recorded behind the handlers' backs, in batches, so the next event does
/// not wait for them. They are tried again while the lease lives.
///
/// With a concurrency of 1 the handler runs inside the listener's task, which costs least; with
/// more, each runs in a task of its own. Either way a handler must not block its thread for long.
#[derive(Clone, Default)]
#[must_use]
pub struct ListenOptions {
    consume: IterOptions,
    concurrency: Option<usize>,
    auto_ack: Option<bool>,
    handler_timeout: Option<Duration>,
    on_notice: Option<OnNotice>,
}

/// The part of the options that the handling needs.
pub(crate) struct HandlingOptions {
    pub(crate) auto_ack: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) on_notice: Option<OnNotice>,
}

impl ListenOptions {
    /// Everything as configured.
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens as a member of this consumer group. A bad name is reported by `listen`.
    pub fn group<G>(mut self, group: G) -> Self
    where
        G: TryInto<GroupName>,
        Error: From<G::Error>,
    {
        self.consume = self.consume.group(group);
        self
    }

    /// The longest wait between two looks at the database; must be greater than zero.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.consume = self.consume.poll_interval(interval);
        self
    }

    /// How many events may be held ahead of their handling, at least 1; without it the number
    /// adapts to how fast they are handled.
    pub fn prefetch(mut self, events: usize) -> Self {
        self.consume = self.consume.prefetch(events);
        self
    }

    /// How many events are handled at the same time, at least 1.
    pub fn concurrency(mut self, events: usize) -> Self {
        self.concurrency = Some(events);
        self
    }

    /// Whether an event that was handled is acknowledged. If not, the handler does it, or whoever
    /// it passes the message to; the lease is renewed until the handler answers, and ends at the
    /// latest one lease after that.
    pub fn auto_ack(mut self, auto_ack: bool) -> Self {
        self.auto_ack = Some(auto_ack);
        self
    }

    /// How long a handler may run; must be greater than zero. An async handler is dropped then. A
    /// blocking one cannot be; its lease is not renewed any more, so that the event comes back.
    pub fn handler_timeout(mut self, timeout: Duration) -> Self {
        self.handler_timeout = Some(timeout);
        self
    }

    /// Called with each error that does not end the listener: a gap, lag, a failed look at the
    /// database, a lost subscription that is made anew, a verdict that could not be recorded.
    /// These are logged as well. It must return quickly.
    pub fn on_notice(mut self, notice: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.on_notice = Some(Arc::new(notice));
        self
    }

    pub(crate) fn resolve(
        self,
        channel: ChannelName,
        shared: &Shared,
    ) -> Result<(Subscribe, HandlingOptions)> {
        let defaults = &shared.options;
        let mut request = self.consume.request(Op::Listen, channel, shared)?;
        request.listening = true;
        request.concurrency = self.concurrency.unwrap_or(defaults.concurrency);
        let timeout = self.handler_timeout.or(defaults.handler_timeout);
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(Error::invalid_input(
                Op::Listen,
                "handler_timeout must be greater than zero, not 0s; leave it out for no limit",
            ));
        }
        let handling = HandlingOptions {
            auto_ack: self.auto_ack.unwrap_or(defaults.auto_ack),
            timeout,
            on_notice: self.on_notice,
        };
        Ok((request, handling))
    }
}

impl fmt::Debug for ListenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenOptions")
            .field("consume", &self.consume)
            .field("concurrency", &self.concurrency)
            .field("auto_ack", &self.auto_ack)
            .field("handler_timeout", &self.handler_timeout)
            .field("on_notice", &self.on_notice.is_some())
            .finish()
    }
}
