//! Handlers: their answers, their panics, their time limits, their concurrency.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_channels::telemetry::{Count, Telemetry};
use event_channels::{
    ErrorKind, EventChannel, EventMessage, HandlerError, ListenOptions, NewEvent, Timestamp,
};
use events_queue::{Clock, MemoryStore, QueueBackend, QueueConfig};
use tokio::runtime::Handle;
use tokio::sync::{Barrier, Notify, mpsc};

use crate::support::{Faulty, channel, channel_with, collector, config, soon};

async fn dead_reason(channel: &EventChannel) -> String {
    let letters = channel
        .admin()
        .unwrap()
        .dead_letters("orders".try_into().unwrap(), 10);
    letters.await.unwrap().remove(0).last_error.unwrap()
}

#[tokio::test]
async fn handled_events_are_acknowledged_in_batches_behind_the_handler() {
    let backend = Arc::new(Faulty::new());
    let channel = EventChannel::new(backend.clone());
    let (handler, mut seen) = collector();
    let listener = channel
        .listen("orders", ListenOptions::default(), handler)
        .await
        .unwrap();
    let many = (0..500).map(|n| NewEvent::new("orders", n));
    channel.publish_many(many).await.unwrap();
    for n in 0..500 {
        assert_eq!(soon("the event", seen.recv()).await.unwrap().payload, n);
    }
    let drained = soon("the stop", listener.stop()).await;
    assert_eq!((drained.listeners, drained.released), (1, 0));
    assert!(!listener.is_running());
    assert_eq!(channel.stats("orders").await.unwrap().total().acked, 500);
    assert_eq!(listener.id().to_string().len(), 32);
    assert_eq!(*listener.channel(), "orders");
}

#[tokio::test]
async fn listeners_are_counted_and_stopped_by_id() {
    let (channel, _) = channel_with(config());
    // `EventChannel::new` counts under the default name, which other tests use too.
    let before = Telemetry::named("default").get(Count::ListenerStart);
    let (handler, _seen) = collector();
    let listener = channel
        .listen("orders", ListenOptions::new(), handler)
        .await
        .unwrap();
    assert!(Telemetry::named("default").get(Count::ListenerStart) > before);
    assert!(channel.stop_listener(listener.id()).await.unwrap());
    assert!(!channel.stop_listener(listener.id()).await.unwrap());
    assert!(channel.telemetry_snapshot()["default.events.listener.stop"] >= 1.0);
}

#[tokio::test]
async fn an_error_is_the_reason_that_is_kept_and_decides_when_to_retry() {
    let channel = channel();
    let (sender, mut attempts) = mpsc::unbounded_channel();
    let handler = move |message: EventMessage| {
        let _ = sender.send(message.attempts);
        async move {
            if message.attempts == 1 {
                return Err("not yet".into());
            }
            let _: u8 = "x".parse().map_err(|e| HandlerError::new(e).never())?;
            Ok(())
        }
    };
    let listener = channel
        .listen("orders", ListenOptions::new(), handler)
        .await
        .unwrap();
    channel.publish("orders", 1).await.unwrap();
    assert_eq!(soon("the first", attempts.recv()).await, Some(1));
    assert_eq!(soon("the retry", attempts.recv()).await, Some(2));
    listener.stop().await;
    assert_eq!(dead_reason(&channel).await, "invalid digit found in string");
}

async fn a_panic_fails_only_its_event(concurrency: usize) {
    let (channel, _) = channel_with(QueueConfig {
        max_attempts: 1,
        ..config()
    });
    let (sender, mut seen) = mpsc::unbounded_channel();
    let handler = move |message: EventMessage| {
        // Before the first await, which is where it would take the listener with it.
        assert!(message.payload != 0, "boom {}", message.payload);
        let _ = sender.send(message.payload);
        async { Ok(()) }
    };
    let options = ListenOptions::new().concurrency(concurrency);
    let listener = channel.listen("orders", options, handler).await.unwrap();
    let two = (0..2).map(|n| NewEvent::new("orders", n));
    channel.publish_many(two).await.unwrap();
    assert_eq!(soon("the next", seen.recv()).await.unwrap(), 1);
    listener.stop().await;
    assert_eq!(dead_reason(&channel).await, "handler panicked: boom 0");
    assert_eq!(channel.stats("orders").await.unwrap().total().acked, 1);
}

#[tokio::test]
async fn a_panic_fails_only_its_event_inside_the_task() {
    a_panic_fails_only_its_event(1).await;
}

#[tokio::test]
async fn a_panic_fails_only_its_event_in_a_task_of_its_own() {
    a_panic_fails_only_its_event(3).await;
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_dropped_and_its_event_given_up() {
    struct Dropped(mpsc::UnboundedSender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    for concurrency in [1, 2] {
        let (channel, _) = channel_with(QueueConfig {
            max_attempts: 1,
            ..config()
        });
        let (sender, mut dropped) = mpsc::unbounded_channel();
        let handler = move |_| {
            let guard = Dropped(sender.clone());
            async move {
                let _guard = guard;
                std::future::pending().await
            }
        };
        let options = ListenOptions::new()
            .concurrency(concurrency)
            .handler_timeout(Duration::from_millis(20));
        let listener = channel.listen("orders", options, handler).await.unwrap();
        channel.publish("orders", 1).await.unwrap();
        soon("the drop", dropped.recv()).await.unwrap();
        listener.stop().await;
        assert_eq!(dead_reason(&channel).await, "handler timed out after 20ms");
    }
}

#[tokio::test]
async fn a_slow_handler_keeps_its_event() {
    a_slow_handler_keeps_its_event_by(Clock::system()).await;
}

/// The database runs on a machine whose clock is an hour ahead of ours.
#[tokio::test]
async fn a_slow_handler_keeps_its_event_whatever_our_clock_shows() {
    let clock = Clock::system();
    clock.set(Timestamp::now() + Duration::from_secs(3600));
    a_slow_handler_keeps_its_event_by(clock).await;
}

async fn a_slow_handler_keeps_its_event_by(clock: Clock) {
    let store = MemoryStore::with(clock, Duration::from_secs(60));
    let config = QueueConfig {
        lease: Duration::from_millis(200),
        ..config()
    };
    let backend = QueueBackend::start(store, config, &Handle::current()).unwrap();
    let channel = EventChannel::new(Arc::new(backend));
    let runs = Arc::new(AtomicUsize::new(0));
    let (counted, finished) = (Arc::clone(&runs), Arc::new(Notify::new()));
    let done = Arc::clone(&finished);
    let handler = move |_| {
        let (counted, done) = (Arc::clone(&counted), Arc::clone(&done));
        async move {
            counted.fetch_add(1, Ordering::SeqCst);
            // The passing of three leases is what is tested.
            tokio::time::sleep(Duration::from_millis(600)).await;
            done.notify_one();
            Ok(())
        }
    };
    let options = || ListenOptions::new().poll_interval(Duration::from_millis(20));
    let listener = channel.listen("orders", options(), handler).await.unwrap();
    // Another consumer of the same group would get it if its lease ended.
    let (second, mut stolen) = collector();
    channel.publish("orders", 1).await.unwrap();
    let rival = channel.listen("orders", options(), second).await.unwrap();
    tokio::select! {
        () = finished.notified() => {}
        _ = stolen.recv() => panic!("the event was delivered while its handler ran"),
    }
    listener.stop().await;
    rival.stop().await;
    assert!(stolen.try_recv().is_err());
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(channel.stats("orders").await.unwrap().total().acked, 1);
}

#[tokio::test]
async fn without_auto_ack_the_handler_settles() {
    let channel = channel();
    let (sender, mut settled) = mpsc::unbounded_channel();
    // A handler that held the channel itself would keep it alive for ever.
    let acker = channel.clone();
    let handler = move |message: EventMessage| {
        let (acker, sender) = (acker.clone(), sender.clone());
        async move {
            if message.payload == 0 {
                let _ = sender.send(acker.ack(&message.event_id).await);
            } else {
                let _ = sender.send(Ok(event_channels::Settled::NothingToRecord));
            }
            Ok(())
        }
    };
    let options = ListenOptions::new().auto_ack(false);
    let listener = channel.listen("orders", options, handler).await.unwrap();
    let two = (0..2).map(|n| NewEvent::new("orders", n));
    channel.publish_many(two).await.unwrap();
    soon("the ack", settled.recv()).await.unwrap().unwrap();
    soon("the other", settled.recv()).await.unwrap().unwrap();
    listener.stop().await;
    let total = channel.stats("orders").await.unwrap().total();
    assert_eq!((total.acked, total.leased), (1, 1));
}

#[tokio::test]
async fn as_many_handlers_run_at_once_as_wanted() {
    let channel = channel();
    let together = Arc::new(Barrier::new(4));
    let (sender, mut passed) = mpsc::unbounded_channel();
    let handler = move |_| {
        let (together, sender) = (Arc::clone(&together), sender.clone());
        async move {
            together.wait().await;
            let _ = sender.send(());
            Ok(())
        }
    };
    let options = ListenOptions::new().concurrency(4);
    let listener = channel.listen("orders", options, handler).await.unwrap();
    let eight = (0..8).map(|n| NewEvent::new("orders", n));
    channel.publish_many(eight).await.unwrap();
    for _ in 0..8 {
        soon("all four", passed.recv()).await.unwrap();
    }
    listener.stop().await;
    assert_eq!(channel.stats("orders").await.unwrap().total().acked, 8);
}

#[tokio::test]
async fn bad_options_are_refused_by_the_call() {
    let channel = channel();
    let cases = [
        ("concurrency", ListenOptions::new().concurrency(0)),
        (
            "handler_timeout",
            ListenOptions::new().handler_timeout(Duration::ZERO),
        ),
        (
            "poll_interval",
            ListenOptions::new().poll_interval(Duration::ZERO),
        ),
        ("group name", ListenOptions::new().group("no-group")),
    ];
    for (option, options) in cases {
        let handler = |_| std::future::ready(Ok(()));
        let error = channel
            .listen("orders", options, handler)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{option}");
        assert!(error.to_string().contains(option), "{error}");
    }
}
