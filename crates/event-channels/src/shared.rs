//! What the clones of a channel, its streams and its listeners share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use events_core::telemetry::{Meter, Telemetry};
use events_core::{
    Admin, Backend, BoxSubscription, Capabilities, ChannelName, Closer, Error, ErrorKind, EventId,
    GroupName, NewEvent, Op, Pending, Result, Settled, Settlement, SettlementMode, Stats,
    Subscribe, Verdict, spans,
};
use tokio::sync::OnceCell;
use tracing::{Instrument as _, Span};

use crate::drained::Drained;
use crate::held::Held;
use crate::listener_registry::Registry;
use crate::target::Target;

/// What a channel takes from its configuration.
#[derive(Debug, Clone)]
pub(crate) struct ChannelOptions {
    /// Where counts go.
    pub(crate) telemetry: Arc<Telemetry>,
    /// How long a handler may run.
    pub(crate) handler_timeout: Option<Duration>,
    /// Whether a listener acknowledges what its handler handled.
    pub(crate) auto_ack: bool,
    /// How many events a listener handles at the same time.
    pub(crate) concurrency: usize,
    /// How many events are held ahead of their handling.
    pub(crate) prefetch: Option<usize>,
    /// The longest wait between two looks at the database; `None` is the backend's.
    pub(crate) poll_interval: Option<Duration>,
    /// How long handlers may finish their work when they are stopped.
    pub(crate) drain_deadline: Duration,
    /// Whether blocking code may use the channel.
    #[cfg_attr(
        not(feature = "blocking"),
        expect(dead_code, reason = "read by `blocking`")
    )]
    pub(crate) portal_bridge: bool,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self {
            telemetry: Telemetry::named("default"),
            handler_timeout: None,
            auto_ack: true,
            concurrency: 1,
            prefetch: None,
            poll_interval: None,
            drain_deadline: Duration::from_secs(30),
            portal_bridge: true,
        }
    }
}

const OPEN: u8 = 0;
/// Nothing new starts, but handlers may still publish and settle.
const DRAINING: u8 = 1;
const CLOSED: u8 = 2;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) capabilities: Capabilities,
    pub(crate) options: ChannelOptions,
    pub(crate) held: Held,
    pub(crate) listeners: Registry,
    state: AtomicU8,
    streams: Mutex<HashMap<u64, Closer>>,
    next_stream: AtomicU64,
    shutdown: OnceCell<Drained>,
}

impl Shared {
    pub(crate) fn new(backend: Arc<dyn Backend>, options: ChannelOptions) -> Self {
        Self {
            capabilities: backend.capabilities(),
            held: Held::default(),
            listeners: Registry::default(),
            state: AtomicU8::new(OPEN),
            streams: Mutex::default(),
            next_stream: AtomicU64::new(0),
            shutdown: OnceCell::new(),
            backend,
            options,
        }
    }

    /// Whether ack and nack mean anything here.
    pub(crate) fn settles(&self) -> bool {
        self.capabilities.settlement != SettlementMode::None
    }

    fn check_not_closed(&self, op: Op) -> Result<()> {
        match self.state.load(Ordering::SeqCst) {
            CLOSED => Err(self.closed(op)),
            _ => Ok(()),
        }
    }

    pub(crate) fn closed(&self, op: Op) -> Error {
        Error::new(ErrorKind::Closed, op)
            .because("the channel was shut down; open a new one")
            .in_backend(self.backend.name())
    }

    pub(crate) fn publish(&self, events: Vec<NewEvent>) -> Pending<Vec<EventId>> {
        let checked = self.check_not_closed(Op::Publish).and_then(|()| {
            events
                .iter()
                .try_for_each(|event| event.check_supported(&self.capabilities))
        });
        let span = spans::publish(self.backend.name(), &events);
        let published = match checked {
            Ok(()) => self.backend.publish(events),
            Err(error) => Pending::ready(Err(error.in_backend(self.backend.name()))),
        };
        published.in_span(span, |span, ids| spans::published(span, ids))
    }

    pub(crate) fn publish_one(&self, event: NewEvent) -> Pending<EventId> {
        let backend = self.backend.name();
        self.publish(vec![event]).then(move |ids| {
            ids?.pop().ok_or_else(|| {
                Error::new(ErrorKind::Backend, Op::Publish)
                    .because("the backend answered no id")
                    .in_backend(backend)
            })
        })
    }

    pub(crate) fn subscribe(&self, request: Subscribe) -> Pending<BoxSubscription> {
        if self.state.load(Ordering::SeqCst) != OPEN {
            return Pending::ready(Err(self.closed(Op::Subscribe)));
        }
        match request.check_supported(&self.capabilities) {
            Ok(()) => self.backend.subscribe(request),
            Err(error) => Pending::ready(Err(error.in_backend(self.backend.name()))),
        }
    }

    /// Sends verdicts to the backend.
    pub(crate) fn send(&self, settlements: Vec<Settlement>) -> Pending<Vec<Result<Settled>>> {
        let span = spans::settle(self.backend.name(), &settlements);
        let answers = self.backend.settle(settlements);
        answers.in_span(span, |span, answers| spans::settled(span, answers))
    }

    /// Sends one verdict of the application.
    pub(crate) fn settle(
        self: &Arc<Self>,
        target: Target,
        verdict: Verdict,
        op: Op,
    ) -> Pending<Settled> {
        let found = self.check_not_closed(op).and_then(|()| {
            if !self.settles() {
                return Ok(None);
            }
            self.held.find(target, op).map(Some)
        });
        let (event_id, receipt) = match found {
            Ok(Some(found)) => found,
            Ok(None) => return Pending::ready(Ok(Settled::NothingToRecord)),
            Err(error) => return Pending::ready(Err(error.in_backend(self.backend.name()))),
        };
        let final_verdict = !matches!(verdict, Verdict::Extend(_));
        let settlement = Settlement {
            event_id,
            receipt,
            verdict,
        };
        let shared = Arc::clone(self);
        self.send(vec![settlement]).then(move |answers| {
            let answer = answers?.pop().unwrap_or_else(|| {
                Err(Error::new(ErrorKind::Backend, op).because("the backend answered nothing"))
            });
            let answer = answer.map_err(|error| error.during(op));
            if final_verdict && is_final(&answer) {
                shared.held.settled([(event_id, receipt)]);
            }
            answer
        })
    }

    pub(crate) fn admin(&self, op: Op) -> Result<&dyn Admin> {
        self.check_not_closed(op)?;
        self.backend.admin().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, op)
                .because("this backend stores nothing")
                .in_backend(self.backend.name())
        })
    }

    pub(crate) fn subscribe_group(&self, channel: ChannelName, group: GroupName) -> Pending<bool> {
        let mut request = Subscribe::new(channel);
        request.group = Some(group);
        let checked = request
            .check_supported(&self.capabilities)
            .map_err(|error| error.in_backend(self.backend.name()))
            .and_then(|()| self.admin(Op::Subscribe));
        match checked {
            Ok(admin) => admin.subscribe_group(request.channel, request.group),
            Err(error) => Pending::ready(Err(error)),
        }
    }

    pub(crate) fn stats(&self, channel: ChannelName) -> Pending<Stats> {
        match self.admin(Op::Admin) {
            Ok(admin) => admin
                .stats(Some(channel.clone()))
                .then(|found| Ok(found?.pop().unwrap_or_else(|| Stats::new(channel)))),
            Err(error) => Pending::ready(Err(error)),
        }
    }

    pub(crate) fn health(&self) -> Pending<events_core::Health> {
        match self.check_not_closed(Op::Admin) {
            Ok(()) => self.backend.health(),
            Err(error) => Pending::ready(Err(error)),
        }
    }

    pub(crate) fn meter(&self, channel: &ChannelName, group: Option<&GroupName>) -> Meter {
        let telemetry = &self.options.telemetry;
        telemetry.channel(self.backend.name(), channel, group)
    }

    /// Notes a stream that the application reads, so that shutdown ends it.
    pub(crate) fn stream_opened(&self, closer: Closer) -> u64 {
        let id = self.next_stream.fetch_add(1, Ordering::Relaxed);
        let mut streams = self.streams();
        // Looked at under the lock, so that a shutdown meanwhile does not miss this stream.
        if self.state.load(Ordering::SeqCst) != OPEN {
            closer.close();
        }
        streams.insert(id, closer);
        id
    }

    pub(crate) fn stream_dropped(&self, id: u64) {
        self.streams().remove(&id);
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<u64, Closer>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drains and closes. A second call waits for the first and answers the same; a call that is
    /// dropped half-way is taken up by the next one.
    pub(crate) async fn shutdown(&self) -> Result<Drained> {
        self.shutdown
            .get_or_try_init(|| {
                let span = spans::shutdown(self.backend.name());
                self.drain(span.clone()).instrument(span)
            })
            .await
            .copied()
    }

    async fn drain(&self, span: Span) -> Result<Drained> {
        self.state.fetch_max(DRAINING, Ordering::SeqCst);
        self.streams().values().for_each(Closer::close);
        let drained = self.listeners.drain().await;
        spans::drained(&span, drained.listeners, drained.finished, drained.released);
        self.state.store(CLOSED, Ordering::SeqCst);
        let closed = self.backend.shutdown().await;
        closed.inspect_err(|error| spans::failed(&span, error))?;
        Ok(drained)
    }
}

/// Whether an answer to ack or nack leaves nothing to hold.
pub(crate) fn is_final(answer: &Result<Settled>) -> bool {
    match answer {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::HoldLost,
    }
}
