//! Channels that share a queue, and channels that have their own.

use std::time::Duration;

use events_core::Backend as _;
use events_migrations::{AqKind, AqQueue};
use serde_json::json;

use crate::support::{Database, ack, next, nothing_within, publish, put, subscribe};

/// As patterns each of these would match the other.
const LOOK_ALIKE: [&str; 4] = ["user_events", "userXevents", "user__vents", "USER_EVENTS"];

#[test]
fn no_message_crosses_between_channels_of_one_queue() {
    let database = Database::new();
    let backend = database.open();
    let mut all: Vec<_> = LOOK_ALIKE
        .map(|name| (name, subscribe(&backend, name)))
        .into();
    for round in 0..5 {
        for name in LOOK_ALIKE {
            publish(&backend, name, json!([name, round]));
        }
    }
    for (name, events) in &mut all {
        for round in 0..5 {
            let message = next(events);
            assert_eq!(message.channel.as_str(), *name);
            assert_eq!(message.payload, json!([name, round]));
            ack(&backend, &message);
        }
    }
    for (_, events) in &mut all {
        nothing_within(events, Duration::from_millis(20));
    }
}

#[test]
fn a_wildcard_never_reaches_a_name() {
    let database = Database::new();
    let backend = database.open();
    let event = events_core::NewEvent::new("user%events", 1);
    let error = backend.publish(vec![event]).wait().unwrap_err();
    assert!(error.to_string().contains("user%events"), "{error}");
}

#[test]
fn a_template_gives_each_channel_a_queue() {
    let database = Database::empty();
    let prefix = database.queue.clone();
    let queues: Vec<_> = ["ORDERS", "MAIL"]
        .map(|name| AqQueue::new(AqKind::Classic, &format!("{prefix}_{name}")).unwrap())
        .into();
    queues.iter().for_each(|queue| database.provision(queue));
    let mut config = database.config();
    config.queue = format!("{prefix}_{{channel}}");
    let backend = events_oracle_aq::open(config).unwrap();
    publish(&backend, "orders", 1);
    publish(&backend, "mail", 2);
    let (mut orders, mut mail) = (subscribe(&backend, "orders"), subscribe(&backend, "mail"));
    let (one, two) = (next(&mut orders), next(&mut mail));
    assert_eq!(
        (one.payload.clone(), two.payload.clone()),
        (json!(1), json!(2))
    );
    ack(&backend, &one);
    ack(&backend, &two);
    let event = events_core::NewEvent::new("nowhere", 3);
    let error = backend.publish(vec![event]).wait().unwrap_err();
    assert_eq!(error.kind(), events_core::ErrorKind::NotConfigured);
    assert!(
        error.to_string().contains(&format!("{prefix}_NOWHERE")),
        "{error}"
    );
    if database.standin.is_none() {
        queues.iter().for_each(|queue| database.run(&queue.down()));
    }
}

#[test]
fn what_another_program_wrote_is_delivered_as_it_is() {
    let database = Database::empty();
    let queue = AqQueue::new(AqKind::Classic, &format!("{}_ORDERS", database.queue)).unwrap();
    database.provision(&queue);
    let mut config = database.config();
    config.queue = format!("{}_{{channel}}", database.queue);
    let backend = events_oracle_aq::open(config).unwrap();
    let block = include_str!("../../src/sql/enqueue_json.sql");
    put(&database, queue.name(), block, &r#"{"order": 7}"#, None);
    let mut events = subscribe(&backend, "orders");
    let message = next(&mut events);
    assert_eq!(
        (message.payload.clone(), message.attempts),
        (json!({"order": 7}), 1)
    );
    ack(&backend, &message);
    if database.standin.is_none() {
        database.run(&queue.down());
    }
}
