use std::sync::Arc;
use std::time::Duration;

use event_channels::{ErrorKind, EventChannel, EventId, NewEvent, PublishOptions};
use serde_json::json;

use crate::support::{Faulty, channel};

#[tokio::test]
async fn ids_come_in_order_and_events_in_the_order_of_publishing() {
    let channel = channel();
    let ids = channel
        .publish_many((0..5).map(|n| NewEvent::new("orders", n)))
        .await
        .unwrap();
    let mut events = channel.iter_events("orders").await.unwrap();
    for (n, id) in ids.iter().enumerate() {
        let message = events.next().await.unwrap().unwrap();
        assert_eq!((message.event_id, &message.payload), (*id, &json!(n)));
        assert_eq!(message.attempts, 1);
    }
}

#[tokio::test]
async fn options_arrive() {
    let channel = channel();
    let id = EventId::new();
    let options = PublishOptions::new().metadata(json!({"k": 1})).event_id(id);
    for _ in 0..2 {
        let published = channel.publish_with("orders", json!({}), options.clone());
        assert_eq!(published.await.unwrap(), id);
    }
    let message = channel.iter_events("orders").await.unwrap().next().await;
    let message = message.unwrap().unwrap();
    assert_eq!(message.metadata.unwrap()["k"], 1);
    let total = channel.stats("orders").await.unwrap().total();
    assert_eq!((total.ready, total.leased), (0, 1));
}

#[tokio::test]
async fn what_the_backend_cannot_honour_is_refused() {
    let channel = EventChannel::new(Arc::new(Faulty::new()));
    let second = Duration::from_secs(1);
    let cases = [
        ("delay", PublishOptions::new().delay(second)),
        ("priority", PublishOptions::new().priority(1)),
        ("expires_in", PublishOptions::new().expires_in(second)),
        ("event_id", PublishOptions::new().event_id(EventId::new())),
    ];
    for (option, options) in cases {
        let error = channel
            .publish_with("orders", 1, options)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{option}");
        assert!(error.to_string().contains(option), "{error}");
    }
    let harmless = PublishOptions::new().delay(Duration::ZERO).priority(0);
    channel.publish_with("orders", 1, harmless).await.unwrap();
}

#[tokio::test]
async fn names_are_checked_and_never_cut() {
    let channel = EventChannel::new(Arc::new(Faulty::new()));
    let long = "x".repeat(64);
    let error = channel.publish(&long, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("64 bytes"), "{error}");
    let error = channel.iter_events(&long).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = channel.publish("a-b", 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn an_empty_batch_is_no_error() {
    assert!(channel().publish_many([]).await.unwrap().is_empty());
}

#[test]
fn futures_are_send_also_with_payloads_that_are_not() {
    fn check<T: Send>(_: T) {}
    fn with(channel: &EventChannel) {
        check(channel.publish("orders", std::rc::Rc::<str>::from("x").as_ref()));
        check(channel.iter_events("orders"));
        check(channel.shutdown());
    }
    let _ = with;
}
