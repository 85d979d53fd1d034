//! A rollback that fails: nothing is committed by what comes after it.

use std::time::Duration;

use events_core::{Backend as _, NewEvent, RetryAfter, Verdict};
use events_oracle_standin::Plan;

use crate::support::{Database, healed, nack, next, publish, settle, subscribe};

#[test]
fn half_a_batch_is_not_committed_by_the_next_one() {
    let database = Database::new();
    let Some(server) = database.faulty("half_a_batch_is_not_committed_by_the_next_one") else {
        return;
    };
    let mut config = database.config();
    config.pool_size = 1;
    let backend = events_oracle_aq::open(config).unwrap();
    server
        .plan(Plan::at("DBMS_AQ.ENQUEUE").after(2).code(1653))
        .unwrap();
    server.plan(Plan::at("ROLLBACK").code(1013)).unwrap();
    let batch = (0..4).map(|n| NewEvent::new("orders", n)).collect();
    assert!(backend.publish(batch).wait().is_err());
    publish(&backend, "orders", 99);
    let mut events = subscribe(&backend, "orders");
    assert_eq!(next(&mut events).payload, 99);
}

#[test]
fn an_event_whose_ack_and_rollback_fail_comes_again() {
    let database = Database::new();
    let Some(server) = database.faulty("an_event_whose_ack_and_rollback_fail_comes_again") else {
        return;
    };
    let backend = database.open();
    publish(&backend, "orders", 1);
    let mut events = subscribe(&backend, "orders");
    let message = next(&mut events);
    server.plan(Plan::at("COMMIT").code(1013)).unwrap();
    server.plan(Plan::at("ROLLBACK").code(1013)).unwrap();
    assert!(settle(&backend, &message, Verdict::Ack).is_err());
    assert_eq!(healed(&mut events).payload, 1);
}

#[test]
fn an_event_whose_nack_fails_comes_again() {
    let database = Database::new();
    let Some(server) = database.faulty("an_event_whose_nack_fails_comes_again") else {
        return;
    };
    let backend = database.open();
    publish(&backend, "orders", 1);
    let mut events = subscribe(&backend, "orders");
    let message = next(&mut events);
    server
        .plan(Plan::at("ROLLBACK").times(2).code(1013))
        .unwrap();
    let verdict = nack(RetryAfter::Delay(Duration::ZERO));
    assert!(settle(&backend, &message, verdict).is_err());
    assert_eq!(healed(&mut events).payload, 1);
}
