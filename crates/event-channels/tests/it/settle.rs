use std::sync::Arc;
use std::time::Duration;

use event_channels::{
    ErrorKind, EventChannel, EventId, IterOptions, NewEvent, RetryAfter, Settled, SettlementMode,
};

use crate::support::{Faulty, channel, channel_with, config};

#[tokio::test]
async fn an_event_is_settled_by_message_or_by_id_and_the_first_verdict_stands() {
    let channel = channel();
    let two = (0..2).map(|n| NewEvent::new("orders", n));
    channel.publish_many(two).await.unwrap();
    let mut events = channel.iter_events("orders").await.unwrap();

    let first = events.next().await.unwrap().unwrap();
    let second = Duration::from_secs(60);
    assert_eq!(
        channel.extend(&first.event_id, second).await.unwrap(),
        Settled::Recorded
    );
    assert_eq!(
        channel.ack(&first.event_id).await.unwrap(),
        Settled::Recorded
    );
    assert_eq!(
        channel.ack(&first.event_id).await.unwrap(),
        Settled::AlreadyAcked
    );
    assert_eq!(channel.ack(&first).await.unwrap(), Settled::AlreadyAcked);
    let nacked = channel.nack(first.event_id, RetryAfter::Policy).await;
    assert_eq!(nacked.unwrap(), Settled::AlreadyAcked);

    let other = events.next().await.unwrap().unwrap();
    let hour = RetryAfter::Delay(Duration::from_secs(3600));
    assert_eq!(channel.nack(&other, hour).await.unwrap(), Settled::Recorded);
    assert_eq!(
        channel.ack(&other.event_id).await.unwrap(),
        Settled::AlreadyNacked
    );
}

#[tokio::test]
async fn an_id_that_is_not_held_is_refused() {
    let (holder, _) = channel_with(config());
    let id = holder.publish("orders", 1).await.unwrap();
    for target in [id, EventId::new()] {
        let error = holder.ack(target).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotHeld);
        assert_eq!(error.backend(), Some("memory"));
    }
}

#[tokio::test]
async fn an_id_held_for_two_groups_needs_the_message() {
    let channel = channel();
    assert!(channel.subscribe_group("orders", "billing").await.unwrap());
    assert!(!channel.subscribe_group("orders", "billing").await.unwrap());
    let options = |group: &str| IterOptions::new().group(group);
    let mut mail = channel
        .iter_events_with("orders", options("mail"))
        .await
        .unwrap();
    let mut billing = channel
        .iter_events_with("orders", options("billing"))
        .await
        .unwrap();
    let id = channel.publish("orders", 1).await.unwrap();
    let one = mail.next().await.unwrap().unwrap();
    let two = billing.next().await.unwrap().unwrap();

    let error = channel.ack(&id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("pass the message"), "{error}");
    assert_eq!(channel.ack(&one).await.unwrap(), Settled::Recorded);
    assert_eq!(channel.ack(&id).await.unwrap(), Settled::Recorded);
    assert_eq!(channel.ack(&two).await.unwrap(), Settled::AlreadyAcked);
}

#[tokio::test]
async fn an_overtaken_receipt_changes_nothing() {
    let (channel, store) = channel_with(config());
    channel.publish("orders", 1).await.unwrap();
    let mut events = channel.iter_events("orders").await.unwrap();
    let early = events.next().await.unwrap().unwrap();
    store.advance(Duration::from_secs(60));
    let late = events.next().await.unwrap().unwrap();
    assert_eq!(late.attempts, 2);
    let error = channel.ack(&early).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HoldLost);
    // By its id the event is the one that is held now.
    assert_eq!(
        channel.ack(&early.event_id).await.unwrap(),
        Settled::Recorded
    );
}

#[tokio::test]
async fn where_nothing_is_recorded_every_verdict_is_fine() {
    let backend = Arc::new(Faulty {
        settlement: SettlementMode::None,
        ..Faulty::new()
    });
    let channel = EventChannel::new(backend.clone());
    let id = EventId::new();
    assert_eq!(channel.ack(&id).await.unwrap(), Settled::NothingToRecord);
    let nacked = channel.nack(&id, RetryAfter::Never).await.unwrap();
    assert_eq!(nacked, Settled::NothingToRecord);
    let extended = channel.extend(&id, Duration::from_secs(1)).await.unwrap();
    assert_eq!(extended, Settled::NothingToRecord);
    assert_eq!(
        backend
            .settle_calls
            .load(std::sync::atomic::Ordering::SeqCst),
        0
    );
}

#[tokio::test]
async fn groups_where_there_are_none_are_refused() {
    let channel = EventChannel::new(Arc::new(Faulty {
        fan_out: event_channels::FanOut::Competing,
        ..Faulty::new()
    }));
    let options = IterOptions::new().group("billing");
    let error = channel
        .iter_events_with("orders", options)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = channel
        .subscribe_group("orders", "billing")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
