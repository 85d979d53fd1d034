//! Queues that fit, and queues that do not.

use events_core::{Backend as _, ErrorKind, NewEvent};
use events_migrations::{AqKind, AqQueue, Direction};
use events_oracle_aq::migrate;
use serde_json::json;

use crate::support::{Database, ack, next, publish, subscribe};

#[test]
fn an_old_server_has_a_raw_queue() {
    let database = Database::empty();
    if let Some(server) = &database.standin {
        server.set_version(19).unwrap();
    }
    let mut queue = database.described();
    queue.raw = true;
    database.provision(&queue);
    let backend = database.open();
    assert_eq!(backend.capabilities().max_event_bytes, Some(32_511));
    let payload = json!({"z": 1, "a": "größer"});
    publish(&backend, "orders", payload.clone());
    let mut events = subscribe(&backend, "orders");
    let message = next(&mut events);
    assert_eq!(message.payload, payload);
    ack(&backend, &message);
    let event = NewEvent::new("orders", "x".repeat(32_768));
    let error = backend.publish(vec![event]).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("32511"), "{error}");
}

#[test]
fn a_missing_queue_is_named_with_the_command_that_makes_it() {
    let database = Database::empty();
    let error = events_oracle_aq::open(database.config()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConfigured);
    for part in [database.queue.as_str(), "migrate up --backend aq"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_stopped_queue_is_told() {
    let database = Database::new();
    database.run(&format!(
        "BEGIN DBMS_AQADM.STOP_QUEUE(queue_name => '{}'); END;",
        database.queue
    ));
    let error = events_oracle_aq::open(database.config()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConfigured);
    assert!(error.to_string().contains("not started"), "{error}");
}

#[test]
fn a_queue_for_many_consumers_is_refused() {
    let database = Database::empty();
    let mut queue = database.described();
    queue.multiple_consumers = true;
    database.provision(&queue);
    let error = events_oracle_aq::open(database.config()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("multiple consumers"), "{error}");
}

#[test]
fn a_queue_stopped_later_ends_the_stream_with_its_reason() {
    let database = Database::new();
    let backend = database.open();
    let mut events = subscribe(&backend, "orders");
    crate::support::nothing_within(&mut events, std::time::Duration::from_millis(20));
    database.run(&format!(
        "BEGIN DBMS_AQADM.STOP_QUEUE(queue_name => '{}'); END;",
        database.queue
    ));
    let error = crate::support::item(&mut events).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConfigured, "{error}");
    assert!(!error.stream_continues());
    let error = backend
        .publish(vec![NewEvent::new("orders", 1)])
        .wait()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConfigured, "{error}");
}

#[test]
fn provisioning_may_run_again_and_back() {
    let database = Database::new();
    let queue = database.described();
    database.provision(&queue);
    database.run(&queue.grant("producer").unwrap());
    database.open();
    database.run(&queue.down());
    database.run(&queue.down());
    assert!(events_oracle_aq::open(database.config()).is_err());
    let other = AqQueue::new(AqKind::TxEventQ, &database.queue).unwrap();
    database.provision(&other);
    database.provision(&other);
    database.open();
    database.run(&other.down());
    database.run(&other.down());
    assert!(events_oracle_aq::open(database.config()).is_err());
}

#[test]
fn the_migration_makes_what_it_shows() {
    let database = Database::empty();
    let mut config = database.config();
    config.max_attempts = 7;
    let shown = migrate::dry_run(&config, Direction::Up).unwrap();
    for part in [
        database.queue.as_str(),
        "'JSON'",
        "max_retries    => 7",
        "START_QUEUE",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(
        events_oracle_aq::open(config.clone()).is_err(),
        "nothing was made"
    );
    migrate::up(&config).unwrap();
    migrate::up(&config).unwrap();
    events_oracle_aq::open(config.clone()).unwrap();
    migrate::down(&config).unwrap();
    migrate::down(&config).unwrap();
    assert!(events_oracle_aq::open(config.clone()).is_err());
    config.queue = "EVT_{channel}".to_owned();
    let error = migrate::up(&config).unwrap_err();
    assert!(error.to_string().contains("one by one"), "{error}");
}

#[test]
fn values_that_cannot_work_are_refused_with_the_rule() {
    let database = Database::new();
    let refused = |change: fn(&mut events_oracle_aq::AqConfig), rule: &str| {
        let mut config = database.config();
        change(&mut config);
        let error = events_oracle_aq::open(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(rule), "{error}");
    };
    refused(|config| config.queue = "a.b.c".to_owned(), "[schema.]name");
    refused(|config| config.max_attempts = 0, "max_attempts");
    refused(|config| config.pool_size = 0, "pool");
    refused(
        |config| config.timeout = std::time::Duration::ZERO,
        "millisecond",
    );
}
