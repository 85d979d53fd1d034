//! What becomes of an event that was or was not handled.

use std::time::{Duration, Instant};

use events_core::telemetry::Count;
use events_core::{Backend as _, ErrorKind, NewEvent, RetryAfter, Settled, Verdict};
use serde_json::json;

use crate::support::{
    Database, ack, dead_letters, nack, next, nothing_within, publish, settle, subscribe, until,
};

#[test]
fn a_nack_without_delay_rolls_back() {
    let database = Database::new();
    let backend = database.open();
    let id = publish(&backend, "orders", 1);
    let mut events = subscribe(&backend, "orders");
    let calls = |what: &str| {
        let server = database.standin.as_ref();
        server.map(|server| server.calls(what).unwrap())
    };
    let (rollbacks, enqueued) = (calls("ROLLBACK"), calls("DBMS_AQ.ENQUEUE"));
    for attempt in 1..=4 {
        let message = next(&mut events);
        assert_eq!((message.event_id, message.attempts), (id, attempt));
        let verdict = nack(RetryAfter::Delay(Duration::ZERO));
        assert_eq!(
            settle(&backend, &message, verdict).unwrap(),
            Settled::Recorded
        );
        assert_eq!(
            settle(&backend, &message, Verdict::Ack).unwrap(),
            Settled::AlreadyNacked
        );
    }
    assert_eq!(calls("ROLLBACK"), rollbacks.map(|before| before + 4));
    assert_eq!(calls("DBMS_AQ.ENQUEUE"), enqueued);
}

#[test]
fn a_nack_with_a_delay_puts_it_back_in_the_same_transaction() {
    let database = Database::new();
    let backend = database.open();
    let id = publish(&backend, "orders", 1);
    let mut events = subscribe(&backend, "orders");
    let first = next(&mut events);
    let nacked = Instant::now();
    let delay = Duration::from_millis(700);
    settle(&backend, &first, nack(RetryAfter::Delay(delay))).unwrap();
    let second = next(&mut events);
    assert!(nacked.elapsed() >= delay);
    assert_eq!((second.event_id, second.attempts), (id, 2));
    assert_eq!(second.created_at, first.created_at);
    settle(&backend, &second, nack(RetryAfter::Delay(Duration::ZERO))).unwrap();
    let third = next(&mut events);
    assert_eq!(
        (third.event_id, third.attempts),
        (id, 3),
        "both counts are added"
    );
    ack(&backend, &third);
}

#[test]
fn after_max_attempts_it_is_a_dead_letter_with_its_reason() {
    let database = Database::new();
    let mut config = database.config();
    config.max_attempts = 3;
    let backend = events_oracle_aq::open(config).unwrap();
    let id = publish(&backend, "orders", "poison");
    publish(&backend, "orders", "fine");
    let mut events = subscribe(&backend, "orders");
    let mut failures = 0;
    let mut fine = false;
    while failures < 3 || !fine {
        let message = next(&mut events);
        if message.payload == "fine" {
            ack(&backend, &message);
            fine = true;
            continue;
        }
        failures += 1;
        assert_eq!(message.attempts, failures);
        let verdict = Verdict::Nack {
            retry: RetryAfter::Policy,
            reason: Some(format!("failure {failures}")),
        };
        assert_eq!(
            settle(&backend, &message, verdict).unwrap(),
            Settled::Recorded
        );
    }
    nothing_within(&mut events, Duration::from_millis(200));
    let dead = dead_letters(&database);
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!(dead[0]["event_id"], json!(id.to_string()));
    assert_eq!(dead[0]["reason"], "max_attempts");
    assert_eq!(dead[0]["last_error"], "failure 3");
    assert_eq!(dead[0]["attempts"], 3);
    assert_eq!(dead[0]["channel"], "orders");
}

#[test]
fn never_makes_a_dead_letter_at_once() {
    let database = Database::new();
    let backend = database.open();
    publish(&backend, "orders", 1);
    let mut events = subscribe(&backend, "orders");
    let message = next(&mut events);
    settle(&backend, &message, nack(RetryAfter::Never)).unwrap();
    nothing_within(&mut events, Duration::from_millis(100));
    assert_eq!(dead_letters(&database)[0]["reason"], "rejected");
}

#[test]
fn a_release_counts_no_attempt() {
    let database = Database::new();
    let backend = database.open();
    publish(&backend, "orders", 1);
    let mut events = subscribe(&backend, "orders");
    for _ in 0..3 {
        let message = next(&mut events);
        assert_eq!(message.attempts, 1);
        settle(&backend, &message, Verdict::Release).unwrap();
    }
}

#[test]
fn extend_has_nothing_to_record_while_it_is_held() {
    let database = Database::new();
    let backend = database.open();
    publish(&backend, "orders", 1);
    let mut events = subscribe(&backend, "orders");
    let message = next(&mut events);
    let extend = Verdict::Extend(Duration::from_secs(60));
    assert_eq!(
        settle(&backend, &message, extend.clone()).unwrap(),
        Settled::NothingToRecord
    );
    ack(&backend, &message);
    assert_eq!(
        settle(&backend, &message, extend).unwrap(),
        Settled::AlreadyAcked
    );
}

#[test]
fn a_receipt_of_another_backend_changes_nothing() {
    let (here, there) = (Database::new(), Database::new());
    let (mine, theirs) = (here.open(), there.open());
    publish(&mine, "orders", 1);
    publish(&theirs, "orders", 2);
    let (mut one, mut two) = (subscribe(&mine, "orders"), subscribe(&theirs, "orders"));
    let (message, other) = (next(&mut one), next(&mut two));
    let error = settle(&theirs, &message, Verdict::Ack).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HoldLost);
    ack(&theirs, &other);
    ack(&mine, &message);
}

#[test]
fn what_is_handed_over_stays_held_when_the_stream_is_dropped() {
    let database = Database::new();
    let backend = database.open();
    publish(&backend, "orders", 1);
    let mut events = subscribe(&backend, "orders");
    let message = next(&mut events);
    drop(events);
    let mut others = subscribe(&backend, "orders");
    nothing_within(&mut others, Duration::from_millis(100));
    ack(&backend, &message);
    nothing_within(&mut others, Duration::from_millis(100));
}

#[test]
fn what_was_not_handed_over_goes_back_uncounted() {
    let database = Database::new();
    let backend = database.open();
    let mut events = subscribe(&backend, "orders");
    // The request outlives the look of its consumer, so the event is brought for nobody.
    nothing_within(&mut events, Duration::from_millis(20));
    publish(&backend, "orders", 1);
    let telemetry = database.config().telemetry;
    until("a session has it", || telemetry.get(Count::Deliver) == 1);
    drop(events);
    let mut others = subscribe(&backend, "orders");
    let message = next(&mut others);
    assert_eq!((message.payload.clone(), message.attempts), (json!(1), 1));
    ack(&backend, &message);
}

#[test]
fn the_server_moves_what_is_rolled_back_too_often() {
    let database = Database::empty();
    let mut queue = database.described();
    queue.max_retries = 1;
    database.provision(&queue);
    let backend = database.open();
    publish(&backend, "orders", "poison");
    backend
        .publish(vec![NewEvent::new("orders", "fine")])
        .wait()
        .unwrap();
    let mut events = subscribe(&backend, "orders");
    let mut poison = 0;
    loop {
        let message = next(&mut events);
        if message.payload == "fine" {
            ack(&backend, &message);
            break;
        }
        poison += 1;
        settle(&backend, &message, nack(RetryAfter::Delay(Duration::ZERO))).unwrap();
    }
    nothing_within(&mut events, Duration::from_millis(100));
    assert_eq!(poison, 2, "one delivery and one retry");
}
