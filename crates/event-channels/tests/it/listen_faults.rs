//! What a listener does when the database fails it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use event_channels::{ErrorKind, EventChannel, ListenOptions};
use tokio::sync::mpsc;

use crate::support::{Faulty, collector, soon};

#[tokio::test]
async fn verdicts_that_fail_are_tried_again() {
    let backend = Arc::new(Faulty::new());
    backend.failing_settles.store(3, Ordering::SeqCst);
    let channel = EventChannel::new(backend.clone());
    let (handler, mut seen) = collector();
    let listener = channel
        .listen("orders", ListenOptions::new(), handler)
        .await
        .unwrap();
    channel.publish("orders", 1).await.unwrap();
    soon("the event", seen.recv()).await.unwrap();
    soon("the stop", listener.stop()).await;
    assert_eq!(channel.stats("orders").await.unwrap().total().acked, 1);
    assert_eq!(backend.settle_calls.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn verdicts_that_cannot_be_recorded_are_reported() {
    let backend = Arc::new(Faulty {
        settle_error: ErrorKind::Backend,
        ..Faulty::new()
    });
    backend.failing_settles.store(1, Ordering::SeqCst);
    let channel = EventChannel::new(backend.clone());
    let (sender, mut notices) = mpsc::unbounded_channel();
    let options = ListenOptions::new().on_notice(move |error| {
        let _ = sender.send(error.kind());
        panic!("a panic of on_notice does no harm");
    });
    let (handler, _seen) = collector();
    let listener = channel.listen("orders", options, handler).await.unwrap();
    channel.publish("orders", 1).await.unwrap();
    assert_eq!(
        soon("the notice", notices.recv()).await,
        Some(ErrorKind::Backend)
    );
    listener.stop().await;
    assert!(channel.telemetry_snapshot()["default.events.settle.error"] >= 1.0);
}

#[tokio::test]
async fn a_lost_subscription_is_made_anew() {
    let backend = Arc::new(Faulty::new());
    let channel = EventChannel::new(backend.clone());
    let (sender, mut notices) = mpsc::unbounded_channel();
    let options = ListenOptions::new().on_notice(move |error| {
        let _ = sender.send((error.kind(), error.op()));
    });
    let (handler, mut seen) = collector();
    let listener = channel.listen("orders", options, handler).await.unwrap();
    backend.failing_subscribes.store(1, Ordering::SeqCst);
    backend.live.lock().unwrap().remove(0).close();
    for _ in 0..2 {
        let (kind, _) = soon("the notice", notices.recv()).await.unwrap();
        assert_eq!(kind, ErrorKind::Unavailable);
    }
    channel.publish("orders", 1).await.unwrap();
    soon("the event", seen.recv()).await.unwrap();
    listener.stop().await;
}
