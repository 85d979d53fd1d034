//! Guarantee 6: whatever is delivered was published, and as it was published.

use event_channels::sqlite::TransactionalPublish as _;
use event_channels::{ErrorKind, EventsConfig, NewEvent, PublishOptions, blocking};
use rusqlite::Connection;
use serde_json::{Value, json};

/// Values that a careless layer between would change.
fn values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(-0.0),
        json!(1.0),
        json!(0.1 + 0.2),
        json!(f64::MIN_POSITIVE),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(9_007_199_254_740_993_u64),
        json!(""),
        json!(" both ends "),
        json!("123"),
        json!("line\nnext\r\n\ttab \u{1}\u{7f}\u{2028}\u{feff}"),
        json!("e\u{301} is not \u{e9}, \u{1F600} \\u0041 \"quoted\" 'so' \\"),
        json!([[], {}, [null]]),
        json!({"": {"": ""}, "a b": [1, 1.0, "1"], "z": 0, "A": 1, "a": 2}),
        json!("x".repeat(200_000)),
    ]
}

/// What was refused, was in a batch with what was refused, or was rolled back is never delivered;
/// the rest comes unchanged, once, in order.
#[test]
fn g6_what_is_delivered_was_published_and_is_equal_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let url = format!("sqlite:{}", file.display());
    let channel = blocking::EventChannel::open(&*url).unwrap();
    let metadata = json!({"of": {"deep": [1, "ü"]}});
    let mut expected = Vec::new();
    for value in values() {
        let options = PublishOptions::new().metadata(&metadata);
        let id = channel.publish_with("orders", &value, options);
        expected.push((id.unwrap(), value));
    }

    // Refused, alone or in a batch.
    let refused = || {
        [
            NewEvent::from_json("orders", "[1e999]"),
            NewEvent::from_json("orders", "123456789012345678901234567890"),
            NewEvent::from_json("orders", "{\"open\": "),
            NewEvent::new("orders", "nul \0"),
            NewEvent::new("orders", "x".repeat(2 << 20)),
            NewEvent::new("no name", 1),
        ]
    };
    for bad in refused() {
        let error = channel.publish_event(bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    for bad in refused() {
        let batch = [NewEvent::new("orders", "beside a bad one"), bad];
        channel.publish_many(batch).unwrap_err();
    }

    // Rolled back: a transaction, a savepoint in one that is committed, a call that fails in one,
    // and a transaction that ends with its connection.
    let mut connection = Connection::open(&file).unwrap();
    let undone = || NewEvent::new("orders", "undone");
    let tx = connection.transaction().unwrap();
    drop(channel.publish_in(&tx, undone()).unwrap());
    tx.rollback().unwrap();
    let mut tx = connection.transaction().unwrap();
    let savepoint = tx.savepoint().unwrap();
    drop(channel.publish_in(&savepoint, undone()).unwrap());
    drop(savepoint);
    let (id, bell) = channel
        .publish_in(&tx, NewEvent::new("orders", "kept"))
        .unwrap();
    channel
        .publish_many_in(&tx, [undone(), NewEvent::new("no name", 1)])
        .unwrap_err();
    tx.commit().unwrap();
    bell.ring();
    expected.push((id, json!("kept")));
    let mut other = Connection::open(&file).unwrap();
    let tx = other.transaction().unwrap();
    drop(channel.publish_in(&tx, undone()).unwrap());
    drop(tx);
    drop(other);

    let config = EventsConfig::new(&*url).unwrap();
    let consumer = blocking::EventChannel::open(config).unwrap();
    let mut events = consumer.iter_events("orders").unwrap();
    for (id, value) in &expected {
        let message = events.next().unwrap().unwrap();
        assert_eq!((&message.event_id, &message.payload), (id, value));
        // Equal as JSON, and as text: neither 1 for 1.0 nor another order of equal numbers.
        assert_eq!(message.payload.to_string(), value.to_string());
        let theirs = message.metadata.clone().map(Value::from);
        let ours = (value != "kept").then(|| metadata.clone());
        assert_eq!(theirs, ours, "{value}");
        let _ = consumer.ack(&message).unwrap();
    }
    let stats = consumer.stats("orders").unwrap().total();
    assert_eq!(
        (
            stats.acked,
            stats.ready + stats.leased + stats.delayed + stats.dead
        ),
        (expected.len() as u64, 0)
    );
}
