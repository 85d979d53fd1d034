//! Publishing and first delivery.

use std::time::Duration;

use event_channels::{
    ErrorKind, EventId, FanOut, IterOptions, NewEvent, Op, PublishOptions, Result, SettlementMode,
    Timestamp,
};
use serde_json::{Value, json};

use crate::{Harness, Outcome, attempt, fails_with, next, nothing_within, pass, recorded};

/// 1: the consumed event is the published one, and an ack is recorded.
pub async fn lifecycle(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.queue_table("app_events")).await?;
    let before = Timestamp::now();
    let payload = json!({"type": "cache_invalidate", "key": "user:1"});
    let id = channel.publish("notifications", &payload).await?;
    let mut events = channel.iter_events("notifications").await?;
    let message = next(&mut events).await;
    assert_eq!((message.event_id, &message.payload), (id, &payload));
    assert_eq!(message.channel, "notifications");
    let can = channel.capabilities();
    assert_eq!((message.attempts, &message.metadata), (attempt(can), &None));
    assert_eq!(id.to_string().len(), 32, "71: ids are 32 characters");
    assert!(message.created_at.as_second() >= before.as_second() - 1);
    assert_eq!(channel.ack(&message).await?, recorded(can));
    if can.settlement == SettlementMode::Lease {
        assert!(message.lease_expires_at > Some(message.created_at));
        let stats = channel.stats("notifications").await?.total();
        assert_eq!((stats.acked, stats.ready, stats.leased), (1, 0, 0));
    } else {
        assert_eq!(message.lease_expires_at, None);
    }
    pass()
}

/// 3: metadata survives; an empty object stays one.
pub async fn metadata_survives(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    let mut events = channel.iter_events("orders").await?;
    for metadata in [
        json!({"source": "tests", "n": [1, {"deep": null}]}),
        json!({}),
    ] {
        let options = PublishOptions::new().metadata(&metadata);
        channel.publish_with("orders", 1, options).await?;
        let message = next(&mut events).await;
        assert_eq!(message.metadata.clone().map(Value::from), Some(metadata));
        assert_eq!(
            channel.ack(&message).await?,
            recorded(channel.capabilities())
        );
    }
    pass()
}

/// 6, 10, 48: a batch keeps order, ids and metadata, and each event comes once.
pub async fn batch_keeps_order_and_ids(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    let batch = (0..20).map(|n| {
        NewEvent::new("orders", json!({ "n": n }))
            .options(PublishOptions::new().metadata(json!({ "m": n })))
    });
    let ids = channel.publish_many(batch).await?;
    let mut events = channel.iter_events("orders").await?;
    for (n, id) in ids.iter().enumerate() {
        let message = next(&mut events).await;
        assert_eq!(
            (message.event_id, &message.payload),
            (*id, &json!({ "n": n }))
        );
        assert_eq!(
            message.metadata.clone().map(Value::from),
            Some(json!({ "m": n }))
        );
        assert_eq!(
            channel.ack(&message).await?,
            recorded(channel.capabilities())
        );
    }
    nothing_within(&mut events, Duration::from_millis(150)).await;
    if harness.leases() {
        assert_eq!(channel.stats("orders").await?.total().acked, 20);
    }
    pass()
}

/// 45, 48: a large batch is one: ids are unique and in order, events come in that order, and they
/// were all published at the same moment.
pub async fn a_batch_of_a_thousand_is_one_and_in_order(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    let ids = channel
        .publish_many((0..1000).map(|n| NewEvent::new("orders", n)))
        .await?;
    assert_eq!(ids.len(), 1000);
    assert!(ids.is_sorted_by(|one, next| one < next), "unique, in order");
    let mut events = channel.iter_events("orders").await?;
    let mut first = None;
    for (n, id) in ids.iter().enumerate() {
        let message = next(&mut events).await;
        assert_eq!((message.event_id, &message.payload), (*id, &json!(n)));
        let published = *first.get_or_insert(message.created_at);
        if channel.capabilities().atomic_batch {
            assert_eq!(message.created_at, published);
        }
        let _ = channel.ack(&message).await?;
    }
    pass()
}

/// 41: an empty batch is no error and stores nothing.
pub async fn batch_of_nothing(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    assert_eq!(channel.publish_many([]).await?, []);
    pass()
}

/// 42: one bad name, and nothing of the batch is stored.
pub async fn batch_with_one_bad_name_stores_nothing(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    let batch = [NewEvent::new("orders", 1), NewEvent::new("not-a-name", 2)];
    let error = fails_with(channel.publish_many(batch).await, ErrorKind::InvalidInput);
    assert!(error.to_string().contains("not-a-name"), "{error}");
    let too_large = [
        NewEvent::new("orders", 1),
        NewEvent::new("orders", "x".repeat(2 << 20)),
    ];
    fails_with(
        channel.publish_many(too_large).await,
        ErrorKind::InvalidInput,
    );
    let mut events = channel.iter_events("orders").await?;
    nothing_within(&mut events, Duration::from_millis(150)).await;
    pass()
}

/// Any JSON value is a payload and comes back equal; scalars are not wrapped.
pub async fn any_json_value_is_delivered_equal(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    let mut events = channel.iter_events("orders").await?;
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1.5e-300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(0.1 + 0.2),
        json!(""),
        json!("ünïcode 日本 \u{1F600} \u{1} \"quoted\" \\u0041"),
        json!([]),
        json!({}),
        json!({"a": {"b": [1, null, {"c": "d"}]}, "": 1}),
        json!("x".repeat(100_000)),
    ];
    let most = channel.capabilities().max_event_bytes.unwrap_or(usize::MAX);
    for value in values
        .into_iter()
        .filter(|value| value.to_string().len() < most)
    {
        channel.publish("orders", &value).await?;
        let message = next(&mut events).await;
        assert_eq!(message.payload, value);
        assert_eq!(
            channel.ack(&message).await?,
            recorded(channel.capabilities())
        );
    }
    pass()
}

/// Names, payloads and options that break a rule: the error names value, rule and way out.
pub async fn bad_input_is_refused_with_value_and_rule(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    for (name, hint) in [
        ("", "letter"),
        ("a b", "a b"),
        ("naïve", "ASCII"),
        (&"x".repeat(129), "129 bytes"),
        (
            &"x".repeat(channel.capabilities().max_name_bytes + 1),
            "never truncated",
        ),
        ("x\n", "letter"),
    ] {
        let error = fails_with(channel.publish(name, 1).await, ErrorKind::InvalidInput);
        assert!(
            error.to_string().contains(hint) && error.op() == Op::Publish,
            "{error}"
        );
        fails_with(
            channel.iter_events(name).await.map(drop),
            ErrorKind::InvalidInput,
        );
    }
    let deep = (0..70).fold(json!("canary"), |inner, _| json!([inner]));
    for (payload, hint) in [
        (deep, "64 levels"),
        (json!({"k": "canary\0"}), "u0000"),
        (json!("canary".repeat(200_000)), "max_payload_bytes"),
    ] {
        let error = fails_with(
            channel.publish("orders", payload).await,
            ErrorKind::InvalidInput,
        );
        assert!(error.to_string().contains(hint), "{error}");
        assert!(
            !format!("{error} {error:?}").contains("canary"),
            "the payload is quoted: {error:?}"
        );
    }
    let error = fails_with(
        channel
            .publish_event(NewEvent::from_json("orders", "[1e999]"))
            .await,
        ErrorKind::InvalidInput,
    );
    assert!(error.to_string().contains("f64"), "{error}");
    let metadata = PublishOptions::new().metadata(json!([1]));
    fails_with(
        channel.publish_with("orders", 1, metadata).await,
        ErrorKind::InvalidInput,
    );
    if harness.leases() {
        let ready = channel.stats("orders").await?.total().ready;
        assert_eq!(ready, 0, "nothing was stored");
    }
    pass()
}

/// An option that the backend lacks is an error that names it, and nothing is published.
pub async fn what_cannot_be_honoured_is_refused(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    let can = channel.capabilities();
    let second = Duration::from_secs(1);
    let options = PublishOptions::new;
    for (possible, name, options) in [
        (can.delay, "delay", options().delay(second)),
        (can.priority, "priority", options().priority(1)),
        (can.expires, "expires_in", options().expires_in(second)),
        (
            can.idempotent,
            "event_id",
            options().event_id(EventId::new()),
        ),
    ] {
        let published = channel.publish_with("orders", 1, options).await;
        if possible {
            published?;
        } else {
            let error = fails_with(published, ErrorKind::Unsupported);
            assert!(error.to_string().contains(name), "{error}");
        }
    }
    let group = IterOptions::new().group("billing");
    let consumed = channel.iter_events_with("orders", group).await.map(drop);
    if can.fan_out == FanOut::Groups {
        consumed?;
    } else {
        fails_with(consumed, ErrorKind::Unsupported);
    }
    pass()
}

/// 2: a consumer gets the events of its channel only.
pub async fn channels_are_separate(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    channel.publish("alerts", "a").await?;
    channel.publish("Alerts", "b").await?;
    channel.publish("alerts_", "c").await?;
    let mut events = channel.iter_events("Alerts").await?;
    let message = next(&mut events).await;
    assert_eq!(message.payload, "b");
    let _ = channel.ack(&message).await?;
    nothing_within(&mut events, Duration::from_millis(150)).await;
    pass()
}

/// With one consumer, first deliveries follow the order of publishing.
pub async fn first_deliveries_follow_the_order_of_publishing(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    for n in 0..300 {
        channel.publish("orders", n).await?;
    }
    let mut events = channel.iter_events("orders").await?;
    for n in 0..300 {
        let message = next(&mut events).await;
        assert_eq!(message.payload, n);
        let _ = channel.ack(&message).await?;
    }
    pass()
}
