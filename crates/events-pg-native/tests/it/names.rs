//! Names that PostgreSQL folds or cuts unless they are quoted, and notifications of others.

use events_core::telemetry::Count;
use events_core::{Backend as _, ErrorKind, NewEvent};
use serde_json::json;

use crate::support::{config, database, next, open, subscribe};

#[tokio::test]
async fn names_keep_their_case_and_all_63_bytes() {
    let Some(database) = database("names_keep_their_case_and_all_63_bytes") else {
        return;
    };
    let backend = open(config(database.url())).await;
    let long = "L".repeat(63);
    let mut other = "L".repeat(62);
    other.push('l');
    let names = ["orders", "Orders", "ORDERS", "select", &long, &other];
    let mut streams = Vec::new();
    for name in names {
        streams.push(subscribe(&backend, name).await);
    }
    let events = names.map(|name| NewEvent::new(name, name));
    backend.publish(events.to_vec()).await.unwrap();
    for (events, name) in streams.iter_mut().zip(names) {
        assert_eq!(next(events).await.payload, *name);
    }
    // Nobody got more than that.
    let ends = names.map(|name| NewEvent::new(name, "end"));
    backend.publish(ends.to_vec()).await.unwrap();
    for events in &mut streams {
        assert_eq!(next(events).await.payload, "end");
    }
    let long = "L".repeat(64);
    let refused = backend.publish(vec![NewEvent::new(&*long, 1)]).await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("63"), "{error}");
    backend.shutdown().await.unwrap();
}

#[tokio::test]
async fn notifications_of_others_are_survived() {
    let Some(database) = database("notifications_of_others_are_survived") else {
        return;
    };
    let config = config(database.url());
    let telemetry = config.telemetry.clone();
    let backend = open(config).await;
    let mut events = subscribe(&backend, "Orders").await;
    database.query(
        r#"NOTIFY "Orders"; NOTIFY "Orders", 'plain text'; NOTIFY "Orders", '{"event_id": "ab"}';
           NOTIFY "Orders", '{"batch_size": 2, "marker_id": "ab"}'; NOTIFY "Orders", '{';
           NOTIFY orders, '"for somebody else"';
           NOTIFY "Orders", '{"a": 1}'; NOTIFY "Orders", '[1, null]';
           NOTIFY "Orders", '{"payload": "p", "event_id": "no id", "published_at": "never"}'"#,
    );
    let id = backend
        .publish(vec![NewEvent::new("Orders", "ours")])
        .await
        .unwrap()[0];
    for payload in [json!({"a": 1}), json!([1, null]), json!("p")] {
        assert_eq!(next(&mut events).await.payload, payload);
    }
    let message = next(&mut events).await;
    assert_eq!((message.event_id, message.payload), (id, json!("ours")));
    assert_eq!(telemetry.get(Count::ListenerForeign), 5);
    backend.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_a_notification_cannot_carry_is_refused_and_nothing_is_sent() {
    let test = "what_a_notification_cannot_carry_is_refused_and_nothing_is_sent";
    let Some(database) = database(test) else {
        return;
    };
    let backend = open(config(database.url())).await;
    let mut events = subscribe(&backend, "orders").await;
    let room = 7_999 - events_core::measure_notify_payload(&"", None).unwrap();
    let (fits, large) = ("f".repeat(room), "l".repeat(room + 1));
    let batch = vec![NewEvent::new("orders", 1), NewEvent::new("orders", &large)];
    let error = backend.publish(batch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(
        text.contains("8000 bytes") && text.contains("7999"),
        "{text}"
    );
    assert!(!text.contains("lll"), "no payload in an error");
    backend
        .publish(vec![NewEvent::new("orders", &fits)])
        .await
        .unwrap();
    assert_eq!(next(&mut events).await.payload, fits);
    backend.shutdown().await.unwrap();
}
