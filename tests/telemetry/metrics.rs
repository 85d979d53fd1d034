//! What the `metrics` facade is told.

use std::time::Duration;

use event_channels::{BackendKind, EventChannel, IterOptions, ListenOptions, RetryAfter};

use crate::recorder::{count, gauge, install};

const QUEUE: (&str, &str) = ("backend", "poll_queue");

async fn open(poll_interval: Duration) -> EventChannel {
    install();
    let config = crate::config("sqlite::memory:").poll_interval(poll_interval);
    config.open().await.unwrap()
}

/// 56: the backend that was chosen and its poll interval are metrics once a channel is open.
#[tokio::test]
async fn opening_tells_the_backend_and_the_poll_interval() {
    install();
    let config = crate::config("sqlite::memory:")
        .backend(BackendKind::Notify)
        .poll_interval(Duration::from_millis(1250));
    let channel = config.open().await.unwrap();
    let own = channel.telemetry_snapshot();
    let value = |key: &str| {
        let found = own.iter().find(|(name, _)| name.ends_with(key));
        *found.unwrap_or_else(|| panic!("no {key} in {own:?}")).1
    };
    assert_eq!(value(".events.poll.interval"), 1.25);
    assert_eq!(value(".events.backend.poll_queue.resolved"), 1.0);
    assert_eq!(value(".events.fallback"), 1.0);
    assert!(count("events.backend.resolved", &[QUEUE]).unwrap() >= 1);
    assert!(count("events.fallback", &[QUEUE]).unwrap() >= 1);
    // Other tests open channels too, so the last one opened may be theirs.
    assert!(gauge("events.poll.interval", &[QUEUE]).unwrap() > 0.0);
}

/// 91, 96: an idle consumer looks once per interval of its own, and no more often.
#[tokio::test]
async fn an_idle_consumer_looks_once_per_interval() {
    let channel = open(Duration::from_secs(600)).await;
    let mut idle = channel.iter_events("metered_idle").await.unwrap();
    let mut busy = channel
        .iter_events_with(
            "metered_busy",
            IterOptions::new().poll_interval(Duration::from_millis(5)),
        )
        .await
        .unwrap();
    let waiting = tokio::spawn(async move { idle.next().await.is_none() });
    let also = tokio::spawn(async move { busy.next().await.is_none() });
    let looks = |name| count("events.poll.query", &[QUEUE, ("channel", name)]).unwrap_or_default();
    let enough = async {
        while looks("metered_busy") < 10 || looks("metered_idle") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), enough)
        .await
        .unwrap();
    assert_eq!(looks("metered_idle"), 1);
    channel.shutdown().await.unwrap();
    assert!(waiting.await.unwrap() && also.await.unwrap());
}

#[tokio::test]
async fn every_step_of_an_event_is_counted_under_its_labels() {
    let channel = open(Duration::from_secs(60)).await;
    channel.subscribe_group("metered", "billing").await.unwrap();
    let mut events = channel
        .iter_events_with("metered", IterOptions::new().group("billing"))
        .await
        .unwrap();
    channel.publish("metered", 1).await.unwrap();
    let first = events.next().await.unwrap().unwrap();
    channel
        .nack(&first, RetryAfter::Delay(Duration::ZERO))
        .await
        .unwrap();
    let again = events.next().await.unwrap().unwrap();
    channel.ack(&again).await.unwrap();
    channel.stats("metered").await.unwrap();

    let published = [QUEUE, ("channel", "metered")];
    let consumed = [QUEUE, ("channel", "metered"), ("group", "billing")];
    assert_eq!(count("events.publish", &published), Some(1));
    assert_eq!(count("events.publish.seconds", &published), Some(1));
    assert_eq!(gauge("events.depth", &published), Some(0.0));
    for (name, wanted) in [
        ("events.deliver", 2),
        ("events.lag.seconds", 2),
        ("events.nack", 1),
        ("events.ack", 1),
    ] {
        assert_eq!(count(name, &consumed), Some(wanted), "{name}");
    }
    assert!(count("events.batch.size", &consumed).unwrap() >= 2);
    let claimed = gauge("events.claim.timestamp.seconds", &consumed).unwrap();
    let now = event_channels::Timestamp::now().as_second();
    assert!((claimed - now as f64).abs() < 60.0, "{claimed}");
    for op in ["publish", "claim", "ack", "commit"] {
        let times = count("events.statement.seconds", &[QUEUE, ("op", op)]);
        assert!(times.unwrap_or_default() >= 1, "{op}");
    }
}

#[tokio::test]
async fn a_listener_is_counted_and_what_it_holds_is_in_flight() {
    let channel = open(Duration::from_secs(60)).await;
    let labels = [QUEUE, ("channel", "metered_listener")];
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |_| {
        let _ = sender.send(gauge("events.in_flight", &labels));
        std::future::ready(Ok(()))
    };
    let listener = channel
        .listen("metered_listener", ListenOptions::new(), handler)
        .await
        .unwrap();
    channel.publish("metered_listener", 1).await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), Some(1.0));
    listener.stop().await;
    assert_eq!(gauge("events.in_flight", &labels), Some(0.0));
    for name in [
        "events.listener.start",
        "events.listener.stop",
        "events.ack",
        "events.handler.seconds",
    ] {
        assert_eq!(count(name, &labels), Some(1), "{name}");
    }
}
