//! Publish and consume.

use events_core::{
    Backend as _, ErrorKind, NewEvent, PublishOptions, Settled, SettlementMode, Verdict,
};
use events_migrations::{AqKind, AqQueue};
use events_oracle_aq::Flavour;
use serde_json::json;

use crate::support::{
    Database, ack, next, nothing_within, publish, publish_with, settle, subscribe,
};
use std::time::Duration;

#[test]
fn a_published_event_arrives_whole_and_is_acknowledged_once() {
    let database = Database::new();
    let backend = database.open();
    assert_eq!(backend.name(), "aq");
    assert_eq!(backend.capabilities().settlement, SettlementMode::Session);
    let options = PublishOptions::new().metadata(json!({"source": "test"}));
    let payload = json!({"n": 1, "text": "größer 🦀", "list": [null, true, 1.5]});
    let id = publish_with(&backend, "orders", payload.clone(), options);
    let mut events = subscribe(&backend, "orders");
    let message = next(&mut events);
    assert_eq!(
        (message.event_id, message.payload.clone(), message.attempts),
        (id, payload, 1)
    );
    assert_eq!(message.metadata.as_ref().unwrap()["source"], "test");
    assert_eq!(message.lease_expires_at, None);
    ack(&backend, &message);
    let again = settle(&backend, &message, Verdict::Ack).unwrap();
    assert_eq!(again, Settled::AlreadyAcked);
    nothing_within(&mut events, Duration::from_millis(100));
}

#[tokio::test(flavor = "multi_thread")]
async fn async_code_does_the_same() {
    let (database, backend) = std::thread::spawn(|| {
        let database = Database::new();
        let backend = database.open();
        (database, backend)
    })
    .join()
    .unwrap();
    let ids = backend
        .publish(vec![NewEvent::new("orders", 1), NewEvent::new("orders", 2)])
        .await
        .unwrap();
    let request = events_core::Subscribe::new(crate::support::channel("orders"));
    let mut events = backend.subscribe(request).await.unwrap();
    for id in ids {
        let message = std::future::poll_fn(|cx| {
            futures_core::Stream::poll_next(std::pin::Pin::new(&mut *events), cx)
        })
        .await
        .unwrap()
        .unwrap();
        assert_eq!(message.event_id, id);
        let settlement = events_core::Settlement {
            event_id: message.event_id,
            receipt: message.receipt(),
            verdict: Verdict::Ack,
        };
        let answers = backend.settle(vec![settlement]).await.unwrap();
        assert!(matches!(answers[..], [Ok(Settled::Recorded)]));
    }
    assert!(
        backend
            .health()
            .await
            .unwrap()
            .database
            .starts_with("Oracle ")
    );
    backend.shutdown().await.unwrap();
    drop(database);
}

#[test]
fn a_batch_is_one_and_in_order() {
    let database = Database::new();
    let backend = database.open();
    let commits = || {
        database
            .standin
            .as_ref()
            .map(|server| server.calls("COMMIT").unwrap())
    };
    let before = commits();
    let batch = (0..50).map(|n| NewEvent::new("orders", n)).collect();
    let ids = backend.publish(batch).wait().unwrap();
    let mut events = subscribe(&backend, "orders");
    for (n, id) in ids.iter().enumerate() {
        let message = next(&mut events);
        assert_eq!((message.event_id, message.payload.clone()), (*id, json!(n)));
        ack(&backend, &message);
    }
    // One for the batch, one for each ack.
    assert_eq!(commits(), before.map(|before| before + 51));
}

#[test]
fn a_batch_with_a_bad_event_stores_nothing() {
    let database = Database::new();
    let backend = database.open();
    let batch = vec![NewEvent::new("orders", 1), NewEvent::new("or ders", 2)];
    let error = backend.publish(batch).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let mut events = subscribe(&backend, "orders");
    nothing_within(&mut events, Duration::from_millis(100));
}

#[test]
fn payloads_far_above_the_limit_of_plsql_come_back() {
    let database = Database::new();
    let backend = database.open();
    let mut events = subscribe(&backend, "orders");
    for length in [1, 32_000, 32_768, 200_010] {
        publish(&backend, "orders", "ä".repeat(length));
        let message = next(&mut events);
        assert_eq!(message.payload.as_str().unwrap().chars().count(), length);
        ack(&backend, &message);
    }
    let batch = [10, 40_000, 20].map(|length| NewEvent::new("orders", "x".repeat(length)));
    backend.publish(batch.to_vec()).wait().unwrap();
    for length in [10, 40_000, 20] {
        let message = next(&mut events);
        assert_eq!(message.payload.as_str().unwrap().len(), length);
        ack(&backend, &message);
    }
}

#[test]
fn a_transactional_event_queue_takes_the_same_path() {
    let database = Database::empty();
    database.provision(&AqQueue::new(AqKind::TxEventQ, &database.queue).unwrap());
    let mut config = database.config();
    config.flavour = Flavour::TxEventQ;
    let backend = events_oracle_aq::open(config).unwrap();
    assert_eq!(backend.name(), "txeventq");
    let id = publish(&backend, "orders", 1);
    let mut events = subscribe(&backend, "orders");
    let message = next(&mut events);
    assert_eq!(message.event_id, id);
    ack(&backend, &message);
    nothing_within(&mut events, Duration::from_millis(100));
    if database.standin.is_none() {
        database.run(
            &AqQueue::new(AqKind::TxEventQ, &database.queue)
                .unwrap()
                .down(),
        );
    }
}
