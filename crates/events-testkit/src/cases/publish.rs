//! Publishing and first delivery.

use std::time::{Duration, Instant};

use event_channels::{
    ErrorKind, EventId, NewEvent, Op, PublishOptions, Result, RetryAfter, Settled, Timestamp,
};
use serde_json::{Value, json};

use crate::{Harness, Outcome, fails_with, next, nothing_within, pass};

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
    assert_eq!((message.attempts, &message.metadata), (1, &None));
    assert_eq!(id.to_string().len(), 32, "71: ids are 32 characters");
    assert!(message.created_at.as_second() >= before.as_second() - 1);
    assert!(
        message
            .lease_expires_at
            .is_some_and(|at| at > message.created_at)
    );
    assert_eq!(channel.ack(&message).await?, Settled::Recorded);
    let stats = channel.stats("notifications").await?.total();
    assert_eq!((stats.acked, stats.ready, stats.leased), (1, 0, 0));
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
        assert_eq!(channel.ack(&message).await?, Settled::Recorded);
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
        assert_eq!(channel.ack(&message).await?, Settled::Recorded);
    }
    nothing_within(&mut events, Duration::from_millis(150)).await;
    assert_eq!(channel.stats("orders").await?.total().acked, 20);
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
    for value in values {
        channel.publish("orders", &value).await?;
        let message = next(&mut events).await;
        assert_eq!(message.payload, value);
        assert_eq!(channel.ack(&message).await?, Settled::Recorded);
    }
    pass()
}

/// X25: invisible before its time, also when it was nacked into the future; then it comes by
/// itself, long before the poll interval.
pub async fn a_delayed_event_is_invisible_until_due(harness: Harness) -> Result<Outcome> {
    let channel = harness
        .open(|c| c.poll_interval(Duration::from_secs(60)))
        .await?;
    if !channel.capabilities().delay {
        return Ok(Outcome::Skipped("this backend has no delay"));
    }
    let delay = Duration::from_millis(400);
    let mut events = channel.iter_events("orders").await?;
    let published = Instant::now();
    channel
        .publish_with("orders", "later", PublishOptions::new().delay(delay))
        .await?;
    channel.publish("orders", "now").await?;
    let first = next(&mut events).await;
    assert_eq!(first.payload, "now");
    let _ = channel.ack(&first).await?;
    let second = next(&mut events).await;
    assert_eq!(second.payload, "later");
    assert!(
        published.elapsed() >= delay,
        "delivered after {:?}",
        published.elapsed()
    );
    assert!(
        published.elapsed() < Duration::from_secs(30),
        "the poll interval was waited for"
    );
    let nacked = Instant::now();
    let _ = channel.nack(&second, RetryAfter::Delay(delay)).await?;
    assert_eq!(next(&mut events).await.payload, "later");
    assert!(nacked.elapsed() >= delay);
    pass()
}

/// Higher first; equal ones in the order of publishing.
pub async fn higher_priority_first(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    if !channel.capabilities().priority {
        return Ok(Outcome::Skipped("this backend has no priority"));
    }
    for (name, priority) in [
        ("c", 0),
        ("e", -5),
        ("a", 9),
        ("d", 0),
        ("b", 5),
        ("f", i16::MIN),
    ] {
        channel
            .publish_with("orders", name, PublishOptions::new().priority(priority))
            .await?;
    }
    let mut events = channel.iter_events("orders").await?;
    let mut order = String::new();
    for _ in 0..6 {
        let message = next(&mut events).await;
        order += &message.payload_as::<String>()?;
        let _ = channel.ack(&message).await?;
    }
    assert_eq!(order, "abcdef");
    pass()
}

/// Publishing the same id again stores nothing and answers it, also after the event was settled.
pub async fn an_id_published_twice_is_stored_once(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c.retention(Duration::ZERO)).await?;
    if !channel.capabilities().idempotent {
        return Ok(Outcome::Skipped("this backend has no idempotent ids"));
    }
    let id = EventId::new();
    let options = || PublishOptions::new().event_id(id);
    assert_eq!(channel.publish_with("orders", 1, options()).await?, id);
    assert_eq!(channel.publish_with("orders", 2, options()).await?, id);
    let batch = [
        NewEvent::new("orders", 3).options(options()),
        NewEvent::new("orders", 4),
    ];
    let ids = channel.publish_many(batch).await?;
    assert_eq!(ids[0], id);
    let mut events = channel.iter_events("orders").await?;
    for expected in [1, 4] {
        let message = next(&mut events).await;
        assert_eq!(message.payload, expected);
        let _ = channel.ack(&message).await?;
    }
    assert_eq!(channel.publish_with("orders", 5, options()).await?, id);
    nothing_within(&mut events, Duration::from_millis(150)).await;
    pass()
}

/// An event that nobody took in time is not delivered; it is kept as a dead letter.
pub async fn an_expired_event_becomes_a_dead_letter(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    if !channel.capabilities().expires {
        return Ok(Outcome::Skipped("this backend has no expiry"));
    }
    let options = PublishOptions::new().expires_in(Duration::from_millis(1));
    let id = channel.publish_with("orders", "stale", options).await?;
    channel
        .publish_with(
            "orders",
            "fresh",
            PublishOptions::new().expires_in(Duration::from_secs(3600)),
        )
        .await?;
    tokio::time::sleep(Duration::from_millis(5)).await; // the expiry itself, not a guess
    let mut events = channel.iter_events("orders").await?;
    assert_eq!(next(&mut events).await.payload, "fresh");
    let admin = channel.admin().expect("a durable backend has operations");
    let dead = admin.dead_letters("orders".try_into()?, 10).await?;
    assert_eq!(
        (dead.len(), dead[0].event_id, dead[0].reason.as_str()),
        (1, id, "expired")
    );
    pass()
}

/// Nor are a thousand of them, however few are put away at a time.
pub async fn many_expired_events_are_not_delivered(harness: Harness) -> Result<Outcome> {
    let channel = harness
        .open(|c| c.poll_interval(Duration::from_secs(60)))
        .await?;
    if !channel.capabilities().expires {
        return Ok(Outcome::Skipped("this backend has no expiry"));
    }
    let stale = || PublishOptions::new().expires_in(Duration::from_millis(1));
    let batch = (0..1200).map(|n| NewEvent::new("orders", n).options(stale()));
    channel.publish_many(batch).await?;
    channel
        .publish_with("orders", "fresh", PublishOptions::new().priority(-1))
        .await?;
    tokio::time::sleep(Duration::from_millis(5)).await; // the expiry itself
    let mut events = channel.iter_events("orders").await?;
    assert_eq!(next(&mut events).await.payload, "fresh");
    assert_eq!(channel.stats("orders").await?.total().leased, 1);
    pass()
}

/// Nor is one delivered that expires after it was claimed ahead, while another is handled.
pub async fn an_event_that_expires_in_the_buffer_is_not_delivered(
    harness: Harness,
) -> Result<Outcome> {
    let channel = harness.open(|c| c.prefetch(3)).await?;
    if !channel.capabilities().expires {
        return Ok(Outcome::Skipped("this backend has no expiry"));
    }
    let time = Duration::from_millis(200);
    channel.publish("orders", "first").await?;
    channel
        .publish_with("orders", "stale", PublishOptions::new().expires_in(time))
        .await?;
    channel.publish("orders", "last").await?;
    let mut events = channel.iter_events("orders").await?;
    assert_eq!(next(&mut events).await.payload, "first");
    tokio::time::sleep(time).await; // the expiry itself
    assert_eq!(next(&mut events).await.payload, "last");
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
    assert_eq!(
        channel.stats("orders").await?.total().ready,
        0,
        "nothing was stored"
    );
    pass()
}

/// 2: a consumer gets the events of its channel only.
pub async fn channels_are_separate(harness: Harness) -> Result<Outcome> {
    let channel = harness.open(|c| c).await?;
    channel.publish("alerts", "a").await?;
    channel.publish("Alerts", "b").await?;
    channel.publish("alerts_", "c").await?;
    let mut events = channel.iter_events("Alerts").await?;
    assert_eq!(next(&mut events).await.payload, "b");
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
