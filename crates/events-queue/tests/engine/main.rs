//! The lease engine on the reference store.

mod claims;
mod closing;
mod leases;
mod script;
mod verdicts;
mod wakes;

use std::time::Duration;

use events_core::telemetry::{Count, Telemetry};
use events_core::{
    Backend as _, BoxSubscription, ChannelName, EventId, EventMessage, GroupStats, NewEvent,
    Result, Settled, Settlement, Subscribe, Verdict,
};
use events_queue::{QueueBackend, QueueConfig};
use futures_util::StreamExt as _;
use tokio::runtime::Handle;

use crate::script::{PATIENCE, ScriptedStore};

type Backend = QueueBackend<ScriptedStore>;

fn channel() -> ChannelName {
    ChannelName::new("orders").unwrap()
}

/// Settings under which nothing happens by itself while a test runs.
fn calm() -> QueueConfig {
    QueueConfig {
        lease: Duration::from_secs(3600),
        poll_interval: Duration::from_secs(3600),
        telemetry: Telemetry::named(&format!("{:?}", std::thread::current().id())),
        ..QueueConfig::default()
    }
}

fn start(store: &ScriptedStore, config: QueueConfig) -> Backend {
    QueueBackend::start(store.clone(), config, &Handle::current()).unwrap()
}

async fn publish(backend: &Backend, payloads: std::ops::Range<i32>) -> Vec<EventId> {
    let events = payloads.map(|n| NewEvent::new("orders", n)).collect();
    backend.publish(events).await.unwrap()
}

async fn subscribe(backend: &Backend, prefetch: usize) -> BoxSubscription {
    let mut request = Subscribe::new(channel());
    request.prefetch = Some(prefetch);
    backend.subscribe(request).await.unwrap()
}

/// The next event; it comes in time.
async fn next(stream: &mut BoxSubscription) -> EventMessage {
    try_next(stream).await.unwrap()
}

async fn try_next(stream: &mut BoxSubscription) -> Result<EventMessage> {
    let next = tokio::time::timeout(PATIENCE, stream.next()).await;
    next.expect("it comes in time").expect("the stream goes on")
}

/// Polls once; nothing is there yet.
async fn idle(stream: &mut BoxSubscription) {
    let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(stream.poll_next_unpin(cx)));
    assert!(polled.await.is_pending(), "nothing is there yet");
}

fn settlement(message: &EventMessage, verdict: Verdict) -> Settlement {
    Settlement {
        event_id: message.event_id,
        receipt: message.receipt(),
        verdict,
    }
}

async fn settle(backend: &Backend, message: &EventMessage, verdict: Verdict) -> Result<Settled> {
    let answers = backend.settle(vec![settlement(message, verdict)]).await;
    answers.unwrap().pop().unwrap()
}

async fn stats(backend: &Backend) -> GroupStats {
    let stats = backend.admin().unwrap().stats(Some(channel())).await;
    stats.unwrap()[0].total()
}

fn count(config: &QueueConfig, count: Count) -> u64 {
    config.telemetry.get(count)
}
