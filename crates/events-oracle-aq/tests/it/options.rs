//! Delay, priority, expiry, visibility, waits.

use std::time::{Duration, Instant};

use events_core::{
    Backend as _, ErrorKind, EventId, NewEvent, PublishOptions, Receipt, SettlementMode,
};
use events_oracle_aq::Visibility;
use serde_json::json;

use crate::support::{
    Database, ack, dead_letters, next, nothing_within, publish, publish_with, subscribe,
};

#[test]
fn a_delayed_event_is_not_early() {
    let database = Database::new();
    let backend = database.open();
    let mut events = subscribe(&backend, "orders");
    let delay = Duration::from_millis(600);
    let published = Instant::now();
    publish_with(
        &backend,
        "orders",
        "later",
        PublishOptions::new().delay(delay),
    );
    publish(&backend, "orders", "now");
    let mut came = Vec::new();
    while came.len() < 2 {
        let message = next(&mut events);
        let text = message.payload.as_str().unwrap().to_owned();
        if text == "later" {
            assert!(published.elapsed() >= delay);
        }
        ack(&backend, &message);
        came.push(text);
    }
    came.sort();
    assert_eq!(came, ["later", "now"]);
}

#[test]
fn higher_priority_first() {
    let database = Database::new();
    let backend = database.open();
    for (name, priority) in [
        ("c", 0),
        ("e", -5),
        ("a", 9),
        ("d", 0),
        ("b", 5),
        ("f", i16::MIN),
    ] {
        publish_with(
            &backend,
            "orders",
            name,
            PublishOptions::new().priority(priority),
        );
    }
    let mut events = subscribe(&backend, "orders");
    let mut order = String::new();
    for _ in 0..6 {
        let message = next(&mut events);
        order += message.payload.as_str().unwrap();
        ack(&backend, &message);
    }
    assert_eq!(order, "abcdef");
}

#[test]
fn an_event_past_its_time_is_a_dead_letter_and_not_delivered() {
    let database = Database::new();
    let backend = database.open();
    let stale = PublishOptions::new().expires_in(Duration::from_millis(1));
    let published = Instant::now();
    let id = publish_with(&backend, "orders", "stale", stale);
    let fresh = PublishOptions::new().expires_in(Duration::from_secs(3600));
    publish_with(&backend, "orders", "fresh", fresh);
    std::thread::sleep(Duration::from_millis(5)); // the expiry itself
    let mut events = subscribe(&backend, "orders");
    let message = next(&mut events);
    assert_eq!(message.payload, "fresh");
    ack(&backend, &message);
    let dead = dead_letters(&database);
    // After a whole second the server puts it away by itself.
    if published.elapsed() < Duration::from_secs(1) {
        assert_eq!(dead[0]["event_id"], json!(id.to_string()));
        assert_eq!(dead[0]["reason"], "expired");
    }
}

#[test]
fn immediate_visibility_settles_nothing_and_loses_what_is_not_handled() {
    let database = Database::new();
    let mut config = database.config();
    config.visibility = Visibility::Immediate;
    let backend = events_oracle_aq::open(config).unwrap();
    let can = backend.capabilities();
    assert_eq!(can.settlement, SettlementMode::None);
    publish(&backend, "orders", 1);
    publish(&backend, "orders", 2);
    let mut events = subscribe(&backend, "orders");
    for n in [1, 2] {
        let message = next(&mut events);
        assert_eq!((message.payload.clone(), message.attempts), (json!(n), 0));
        assert_eq!(message.receipt(), Receipt::Untracked);
    }
    drop(backend);
    let other = database.open();
    nothing_within(&mut subscribe(&other, "orders"), Duration::from_millis(300));
}

#[test]
fn a_wait_of_zero_looks_and_pauses() {
    let database = Database::new();
    let mut config = database.config();
    config.wait = Duration::ZERO;
    let backend = events_oracle_aq::open(config).unwrap();
    let mut events = subscribe(&backend, "orders");
    let started = Instant::now();
    nothing_within(&mut events, Duration::from_millis(120));
    publish(&backend, "orders", 1);
    let message = next(&mut events);
    ack(&backend, &message);
    if let Some(server) = &database.standin {
        let looks = server.calls("DBMS_AQ.DEQUEUE").unwrap();
        // One at each end of every pause of 50 ms.
        let most = started.elapsed().as_millis() / 50 + 2;
        assert!(
            looks.unsigned_abs() <= most.try_into().unwrap(),
            "{looks} of {most}"
        );
    }
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    let database = Database::new();
    let backend = database.open();
    let own = NewEvent::new("orders", 1).options(PublishOptions::new().event_id(EventId::new()));
    let error = backend.publish(vec![own]).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let mut request = events_core::Subscribe::new(crate::support::channel("orders"));
    request.prefetch = Some(2);
    let error = backend.subscribe(request).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("concurrency"), "{error}");
    let mut request = events_core::Subscribe::new(crate::support::channel("orders"));
    request.group = Some(events_core::GroupName::new("billing").unwrap());
    let error = backend.subscribe(request).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    nothing_within(
        &mut subscribe(&backend, "orders"),
        Duration::from_millis(20),
    );
}
