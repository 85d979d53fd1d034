//! Channels over memory, with faults on demand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_channels::telemetry::Telemetry;
use event_channels::{
    Admin, Backend, BoxSubscription, Capabilities, Closer, Error, ErrorKind, EventChannel, EventId,
    EventMessage, FanOut, HandlerResult, Health, NewEvent, Op, Pending, Result, Settled,
    Settlement, SettlementMode, Subscribe,
};
use events_queue::{Backoff, MemoryStore, QueueBackend, QueueConfig};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Long enough for a slow machine, short enough for a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn config() -> QueueConfig {
    QueueConfig {
        backoff: Backoff {
            base: Duration::ZERO,
            max: Duration::ZERO,
        },
        telemetry: Telemetry::named("umbrella_tests"),
        ..QueueConfig::default()
    }
}

pub(crate) fn channel_with(config: QueueConfig) -> (EventChannel, MemoryStore) {
    let store = MemoryStore::new();
    let backend = QueueBackend::start(store.clone(), config, &Handle::current()).unwrap();
    (EventChannel::new(Arc::new(backend)), store)
}

pub(crate) fn channel() -> EventChannel {
    channel_with(config()).0
}

/// Fails with a message instead of hanging.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen in {PATIENCE:?}"),
    }
}

/// A handler that passes messages on, and where they arrive.
pub(crate) fn collector() -> (
    impl Fn(EventMessage) -> std::future::Ready<HandlerResult> + Send + Sync + 'static,
    mpsc::UnboundedReceiver<EventMessage>,
) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let handler = move |message| {
        let _ = sender.send(message);
        std::future::ready(Ok(()))
    };
    (handler, receiver)
}

/// A queue in memory whose operations can be made to fail.
#[derive(Debug)]
pub(crate) struct Faulty {
    pub(crate) inner: QueueBackend<MemoryStore>,
    pub(crate) settlement: SettlementMode,
    pub(crate) fan_out: FanOut,
    /// How many of the next settlements fail, and how.
    pub(crate) failing_settles: AtomicUsize,
    pub(crate) settle_error: ErrorKind,
    pub(crate) settle_calls: AtomicUsize,
    pub(crate) failing_subscribes: AtomicUsize,
    pub(crate) live: Mutex<Vec<Closer>>,
}

impl Faulty {
    pub(crate) fn new() -> Self {
        Self {
            inner: QueueBackend::start(MemoryStore::new(), config(), &Handle::current()).unwrap(),
            settlement: SettlementMode::Lease,
            fan_out: FanOut::Groups,
            failing_settles: AtomicUsize::new(0),
            settle_error: ErrorKind::Busy,
            settle_calls: AtomicUsize::new(0),
            failing_subscribes: AtomicUsize::new(0),
            live: Mutex::default(),
        }
    }
}

fn fails(counter: &AtomicUsize) -> bool {
    let less = |n: usize| n.checked_sub(1);
    counter
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
        .is_ok()
}

impl Backend for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            settlement: self.settlement,
            fan_out: self.fan_out,
            delay: false,
            priority: false,
            expires: false,
            idempotent: false,
            max_name_bytes: 63,
            ..self.inner.capabilities()
        }
    }

    fn lease(&self) -> Option<Duration> {
        self.inner.lease()
    }

    fn publish(&self, events: Vec<NewEvent>) -> Pending<Vec<EventId>> {
        self.inner.publish(events)
    }

    fn subscribe(&self, request: Subscribe) -> Pending<BoxSubscription> {
        if fails(&self.failing_subscribes) {
            return Pending::ready(Err(Error::new(ErrorKind::Unavailable, Op::Subscribe)));
        }
        let subscription = self.inner.subscribe(request).wait().unwrap();
        self.live.lock().unwrap().push(subscription.closer());
        Pending::ready(Ok(subscription))
    }

    fn settle(&self, settlements: Vec<Settlement>) -> Pending<Vec<Result<Settled>>> {
        self.settle_calls.fetch_add(1, Ordering::SeqCst);
        if fails(&self.failing_settles) {
            return Pending::ready(Err(Error::new(self.settle_error, Op::Ack)));
        }
        self.inner.settle(settlements)
    }

    fn admin(&self) -> Option<&dyn Admin> {
        self.inner.admin()
    }

    fn health(&self) -> Pending<Health> {
        self.inner.health()
    }

    fn shutdown(&self) -> Pending<()> {
        self.inner.shutdown()
    }
}
