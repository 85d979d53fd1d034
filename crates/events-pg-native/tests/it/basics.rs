//! Publish, subscribe, both in either order.

use events_core::{Backend as _, NewEvent};
use serde_json::json;

use crate::support::{config, database, next, open, subscribe};

#[tokio::test]
async fn published_after_subscribe_arrives() {
    let Some(database) = database("published_after_subscribe_arrives") else {
        return;
    };
    let backend = open(config(database.url())).await;
    let mut events = subscribe(&backend, "Orders").await;
    let ids = backend
        .publish(vec![NewEvent::new("Orders", json!({"n": 1}))])
        .await
        .unwrap();
    let message = next(&mut events).await;
    assert_eq!(
        (message.event_id, message.payload),
        (ids[0], json!({"n": 1}))
    );
    backend.shutdown().await.unwrap();
}

#[tokio::test]
async fn published_before_the_first_subscribe_arrives_once() {
    let Some(database) = database("published_before_the_first_subscribe_arrives_once") else {
        return;
    };
    let backend = open(config(database.url())).await;
    let ids = backend
        .publish(vec![NewEvent::new("orders", 1), NewEvent::new("orders", 2)])
        .await
        .unwrap();
    let mut events = subscribe(&backend, "orders").await;
    assert_eq!(next(&mut events).await.event_id, ids[0]);
    assert_eq!(next(&mut events).await.event_id, ids[1]);
    backend
        .publish(vec![NewEvent::new("orders", 3)])
        .await
        .unwrap();
    assert_eq!(next(&mut events).await.payload, 3);
}
