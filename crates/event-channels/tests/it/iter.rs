use std::time::Duration;

use event_channels::{ErrorKind, IterOptions, NewEvent};
use futures_util::FutureExt;

use crate::support::{channel, soon};

#[tokio::test]
async fn bad_options_are_refused_by_the_call() {
    let channel = channel();
    let cases = [
        (
            "poll_interval",
            IterOptions::new().poll_interval(Duration::ZERO),
        ),
        ("prefetch", IterOptions::new().prefetch(0)),
        ("group name", IterOptions::new().group("no-group")),
    ];
    for (option, options) in cases {
        let error = channel
            .iter_events_with("orders", options)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{option}");
        assert!(error.to_string().contains(option), "{error}");
    }
}

#[tokio::test]
async fn an_event_published_right_after_the_call_arrives() {
    let channel = channel();
    let slow = IterOptions::new().poll_interval(Duration::from_secs(3600));
    let mut events = channel.iter_events_with("orders", slow).await.unwrap();
    let id = channel.publish("orders", 1).await.unwrap();
    let message = soon("the event", events.next()).await.unwrap().unwrap();
    assert_eq!(message.event_id, id);
}

#[tokio::test]
async fn a_dropped_wait_loses_nothing() {
    let channel = channel();
    let mut events = channel.iter_events("orders").await.unwrap();
    assert!(events.next().now_or_never().is_none());
    channel.publish("orders", 1).await.unwrap();
    soon("the event", events.next()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_dropped_stream_gives_back_what_it_did_not_yield() {
    let channel = channel();
    let three = (0..3).map(|n| NewEvent::new("orders", n));
    channel.publish_many(three).await.unwrap();
    let options = IterOptions::new().prefetch(3);
    let mut events = channel.iter_events_with("orders", options).await.unwrap();
    let first = events.next().await.unwrap().unwrap();
    drop(events);
    let mut events = channel.iter_events("orders").await.unwrap();
    let next = events.next().await.unwrap().unwrap();
    assert_ne!(next.event_id, first.event_id);
    assert_eq!(next.attempts, 1);
}

#[tokio::test]
async fn a_closer_ends_a_stream_that_waits() {
    let channel = channel();
    let mut events = channel.iter_events("orders").await.unwrap();
    let closer = events.closer();
    let reader = tokio::spawn(async move { events.next().await.is_none() });
    closer.close();
    assert!(soon("the end", reader).await.unwrap());
}

#[tokio::test]
async fn shutdown_ends_streams_and_a_dropped_channel_does_not() {
    let channel = channel();
    let mut events = channel.iter_events("orders").await.unwrap();
    let other = channel.clone();
    channel.publish("orders", 1).await.unwrap();
    drop(channel);
    assert!(soon("the event", events.next()).await.unwrap().is_ok());
    other.shutdown().await.unwrap();
    assert!(soon("the end", events.next()).await.is_none());
    for error in [
        other.publish("orders", 1).await.unwrap_err(),
        other.iter_events("orders").await.unwrap_err(),
        other.ack(event_channels::EventId::new()).await.unwrap_err(),
        other.health().await.unwrap_err(),
        other.stats("orders").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    }
    other.shutdown().await.unwrap();
}
