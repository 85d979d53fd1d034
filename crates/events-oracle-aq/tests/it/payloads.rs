//! Payloads at the edge: as long as a queue carries, and none at all.

use std::time::Duration;

use events_core::{Backend as _, NewEvent, PublishOptions, RetryAfter, Verdict};
use events_oracle_aq::AqBackend;
use serde_json::{Value, json};

use crate::support::{
    Database, ack, nack, next, nothing_within, put, raw_dead_letters, settle, subscribe,
};

fn raw_queue() -> Database {
    let database = Database::empty();
    let mut queue = database.described();
    queue.raw = true;
    database.provision(&queue);
    database
}

/// Publishes the longest text that the backend takes; answers its length.
fn publish_longest(backend: &AqBackend) -> usize {
    let most = backend.capabilities().max_event_bytes.unwrap();
    // So that the envelope and not the payload is what fills the queue.
    let options = PublishOptions::new().metadata(json!({"filler": "y".repeat(300)}));
    (0..most)
        .rev()
        .find(|length| {
            let event = NewEvent::new("orders", "x".repeat(*length)).options(options.clone());
            backend.publish(vec![event]).wait().is_ok()
        })
        .unwrap()
}

fn failed(retry: RetryAfter) -> Verdict {
    Verdict::Nack {
        retry,
        reason: Some("why it failed ".repeat(300)),
    }
}

#[test]
fn a_raw_event_that_fills_its_queue_is_put_back_and_buried() {
    let database = raw_queue();
    let backend = database.open();
    let length = publish_longest(&backend);
    let mut events = subscribe(&backend, "orders");
    for attempt in 1..=2 {
        let message = next(&mut events);
        assert_eq!(message.attempts, attempt);
        assert_eq!(message.payload.as_str().map(str::len), Some(length));
        settle(
            &backend,
            &message,
            failed(RetryAfter::Delay(Duration::ZERO)),
        )
        .unwrap();
    }
    let message = next(&mut events);
    settle(&backend, &message, failed(RetryAfter::Never)).unwrap();
    nothing_within(&mut events, Duration::from_millis(100));
    let dead = raw_dead_letters(&database);
    assert_eq!((dead.len(), &dead[0]["reason"]), (1, &json!("rejected")));
    assert_eq!(dead[0]["attempts"], 3);
    assert_eq!(dead[0].get("last_error"), None, "there was no room for it");
}

#[test]
fn a_foreign_message_with_no_room_for_an_envelope_is_rolled_back() {
    let database = raw_queue();
    let backend = database.open();
    let text = json!("x".repeat(32_765));
    let full = serde_json::to_vec(&text).unwrap();
    let block = include_str!("../../src/sql/enqueue_raw.sql");
    put(&database, &database.queue, block, &full, Some("orders"));
    let mut events = subscribe(&backend, "orders");
    for attempt in 1..=3 {
        let message = next(&mut events);
        assert_eq!((&message.payload, message.attempts), (&text, attempt));
        settle(&backend, &message, failed(RetryAfter::Never)).unwrap();
    }
    let message = next(&mut events);
    ack(&backend, &message);
    nothing_within(&mut events, Duration::from_millis(100));
}

#[test]
fn a_message_without_a_payload_is_an_event_whose_payload_is_null() {
    let json = (
        Database::new(),
        include_str!("../../src/sql/enqueue_json.sql"),
    );
    let raw = (raw_queue(), include_str!("../../src/sql/enqueue_raw.sql"));
    for (database, block) in [json, raw] {
        let backend = database.open();
        let mut events = subscribe(&backend, "orders");
        put(
            &database,
            &database.queue,
            block,
            &None::<Vec<u8>>,
            Some("orders"),
        );
        let message = next(&mut events);
        assert_eq!((&message.payload, message.attempts), (&Value::Null, 1));
        settle(&backend, &message, nack(RetryAfter::Delay(Duration::ZERO))).unwrap();
        let again = next(&mut events);
        assert_eq!((&again.payload, again.attempts), (&Value::Null, 2));
        settle(&backend, &again, Verdict::Release).unwrap();
        ack(&backend, &next(&mut events));
        backend
            .publish(vec![NewEvent::new("orders", 1)])
            .wait()
            .unwrap();
        let next_one = next(&mut events);
        assert_eq!(next_one.payload, 1, "the queue goes on");
        ack(&backend, &next_one);
    }
}
