//! Lost sessions, outages, refusals: what the caller is told, and that it heals.

use std::time::Duration;

use events_core::telemetry::Count;
use events_core::{Backend as _, ErrorKind, NewEvent, Settled, Verdict};
use events_oracle_standin::Plan;

use crate::support::{
    Database, ack, healed, item, next, nothing_within, publish, settle, subscribe, until,
};

#[test]
fn a_session_lost_while_waiting_is_replaced() {
    let database = Database::new();
    let Some(server) = database.faulty("a_session_lost_while_waiting_is_replaced") else {
        return;
    };
    let backend = database.open();
    let mut events = subscribe(&backend, "orders");
    nothing_within(&mut events, Duration::from_millis(20));
    until("it waits", || server.calls("DBMS_AQ.DEQUEUE").unwrap() > 0);
    server.kill_sessions().unwrap();
    let error = item(&mut events).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.stream_continues());
    // The publisher's session was killed too: its next call says so, the one after is served.
    let mut published = backend.publish(vec![NewEvent::new("orders", 1)]).wait();
    if published.is_err() {
        published = backend.publish(vec![NewEvent::new("orders", 1)]).wait();
    }
    let id = published.unwrap()[0];
    let message = healed(&mut events);
    assert_eq!(message.event_id, id);
    ack(&backend, &message);
}

#[test]
fn a_session_lost_while_it_holds_gives_the_event_back() {
    let database = Database::new();
    let Some(server) = database.faulty("a_session_lost_while_it_holds_gives_the_event_back") else {
        return;
    };
    let backend = database.open();
    let id = publish(&backend, "orders", 1);
    let mut events = subscribe(&backend, "orders");
    let message = next(&mut events);
    server.kill_sessions().unwrap();
    let error = settle(&backend, &message, Verdict::Ack).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let error = settle(&backend, &message, Verdict::Ack).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HoldLost, "{error}");
    let again = healed(&mut events);
    assert_eq!(again.event_id, id);
    assert_eq!(
        again.attempts, 1,
        "the end of a session is not counted by the server"
    );
    assert_eq!(
        settle(&backend, &again, Verdict::Ack).unwrap(),
        Settled::Recorded
    );
}

#[test]
fn an_outage_is_told_once_is_not_hammered_and_heals() {
    let database = Database::new();
    let Some(server) = database.faulty("an_outage_is_told_once_is_not_hammered_and_heals") else {
        return;
    };
    let config = database.config();
    let telemetry = std::sync::Arc::clone(&config.telemetry);
    let backend = events_oracle_aq::open(config).unwrap();
    let mut events = subscribe(&backend, "orders");
    nothing_within(&mut events, Duration::from_millis(20));
    server.unreachable(Some(12541)).unwrap();
    server.kill_sessions().unwrap();
    assert_eq!(
        item(&mut events).unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    // The pauses are at least 50 ms, 100 ms, 200 ms and so on.
    let started = std::time::Instant::now();
    let first = telemetry.get(Count::DequeueError);
    nothing_within(&mut events, Duration::from_millis(700));
    until("it tries again", || telemetry.get(Count::DequeueError) > 2);
    let tries = telemetry.get(Count::DequeueError) - first;
    let paused = Duration::from_millis(50) * ((1 << tries.saturating_sub(1)) - 1);
    assert!(
        started.elapsed() >= paused,
        "{tries} tries in {:?}",
        started.elapsed()
    );
    let error = backend
        .publish(vec![NewEvent::new("orders", 1)])
        .wait()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    server.unreachable(None).unwrap();
    until("publishing works", || {
        backend
            .publish(vec![NewEvent::new("orders", 2)])
            .wait()
            .is_ok()
    });
    let message = healed(&mut events);
    assert_eq!(message.payload, 2);
    ack(&backend, &message);
}

#[test]
fn shutdown_in_an_outage_ends_at_once() {
    let database = Database::new();
    let Some(server) = database.faulty("shutdown_in_an_outage_ends_at_once") else {
        return;
    };
    let backend = database.open();
    let mut events = subscribe(&backend, "orders");
    nothing_within(&mut events, Duration::from_millis(20));
    server.unreachable(Some(12541)).unwrap();
    server.kill_sessions().unwrap();
    item(&mut events).unwrap_err();
    let started = std::time::Instant::now();
    backend.shutdown().wait().unwrap();
    // A second where the machine is free.
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_commit_that_fails_is_an_error_and_the_event_comes_again() {
    let database = Database::new();
    let Some(server) = database.faulty("a_commit_that_fails_is_an_error") else {
        return;
    };
    let backend = database.open();
    let mut events = subscribe(&backend, "orders");
    for plan in [Plan::at("COMMIT").code(1536), Plan::at("COMMIT").kill()] {
        let id = publish(&backend, "orders", 1);
        let message = healed(&mut events);
        server.plan(plan).unwrap();
        assert!(settle(&backend, &message, Verdict::Ack).is_err());
        let again = healed(&mut events);
        assert_eq!(
            again.event_id, id,
            "it was rolled back, whatever came after"
        );
        ack(&backend, &again);
    }
}

#[test]
fn publishing_that_fails_stores_nothing() {
    let database = Database::new();
    let Some(server) = database.faulty("publishing_that_fails_stores_nothing") else {
        return;
    };
    let backend = database.open();
    for (plan, kind) in [
        (
            Plan::at("DBMS_AQ.ENQUEUE").after(2).code(1653),
            ErrorKind::StorageFull,
        ),
        (
            Plan::at("DBMS_AQ.ENQUEUE").code(24010),
            ErrorKind::NotConfigured,
        ),
        (Plan::at("COMMIT").code(1536), ErrorKind::StorageFull),
        (
            Plan::at("DBMS_AQ.ENQUEUE").code(1031),
            ErrorKind::Permission,
        ),
    ] {
        server.plan(plan).unwrap();
        let batch = (0..4).map(|n| NewEvent::new("orders", n)).collect();
        let error = backend.publish(batch).wait().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        server.forget_plans().unwrap();
    }
    let mut events = subscribe(&backend, "orders");
    nothing_within(&mut events, Duration::from_millis(100));
}

/// The server ended the session, and the client's own mark of a lost server says that all is well.
#[test]
fn a_session_that_was_ended_is_not_used_again() {
    let database = Database::new();
    let Some(server) = database.faulty("a_session_that_was_ended_is_not_used_again") else {
        return;
    };
    let mut config = database.config();
    config.pool_size = 1;
    let backend = events_oracle_aq::open(config).unwrap();
    let mut events = subscribe(&backend, "orders");
    let ended = |call: &str, code: i32| Plan::at(call).kill().code(code).inside(604);
    for code in [28, 1012, 2396] {
        server.plan(ended("DBMS_AQ.ENQUEUE", code)).unwrap();
        let event = || vec![NewEvent::new("orders", code)];
        let error = backend.publish(event()).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        backend.publish(event()).wait().unwrap();

        server.plan(ended("DBMS_AQ.DEQUEUE", code)).unwrap();
        let error = item(&mut events).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let message = next(&mut events);

        server.plan(ended("COMMIT", code)).unwrap();
        let error = settle(&backend, &message, Verdict::Ack).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let again = next(&mut events);
        assert_eq!(again.event_id, message.event_id);
        ack(&backend, &again);
    }
}

#[test]
fn a_shutdown_does_not_wait_for_a_login() {
    let database = Database::new();
    let Some(server) = database.faulty("a_shutdown_does_not_wait_for_a_login") else {
        return;
    };
    let backend = database.open();
    let mut events = subscribe(&backend, "orders");
    server.silent(true).unwrap();
    nothing_within(&mut events, Duration::from_millis(100));
    let started = std::time::Instant::now();
    backend.shutdown().wait().unwrap();
    // The login itself would take ten seconds.
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(matches!(events.wait_next(None), events_core::Next::Ended));
    server.silent(false).unwrap();
    until("the late session is gone too", || {
        server.sessions().unwrap() == 0
    });
}

#[test]
fn a_shutdown_breaks_a_commit_that_hangs() {
    let database = Database::new();
    let Some(server) = database.faulty("a_shutdown_breaks_a_commit_that_hangs") else {
        return;
    };
    let hour = Duration::from_secs(3600);
    let mut config = database.config();
    config.timeout = hour;
    let backend = std::sync::Arc::new(events_oracle_aq::open(config).unwrap());
    publish(&backend, "orders", 1);
    let mut events = subscribe(&backend, "orders");
    let message = next(&mut events);
    let before = server.calls("COMMIT").unwrap();
    server.plan(Plan::at("COMMIT").pause(hour)).unwrap();
    let settling = {
        let (backend, message) = (std::sync::Arc::clone(&backend), message.clone());
        std::thread::spawn(move || settle(&backend, &message, Verdict::Ack))
    };
    until("the commit hangs", || {
        server.calls("COMMIT").unwrap() > before
    });
    let started = std::time::Instant::now();
    backend.shutdown().wait().unwrap();
    assert!(started.elapsed() < Duration::from_secs(60));
    assert!(settling.join().unwrap().is_err());
    let other = database.open();
    let again = next(&mut subscribe(&other, "orders"));
    assert_eq!(again.event_id, message.event_id);
}

#[test]
fn a_deadlock_is_run_again() {
    let database = Database::new();
    let Some(server) = database.faulty("a_deadlock_is_run_again") else {
        return;
    };
    let backend = database.open();
    server
        .plan(Plan::at("DBMS_AQ.ENQUEUE").times(2).code(60))
        .unwrap();
    publish(&backend, "orders", 1);
    let mut events = subscribe(&backend, "orders");
    assert_eq!(next(&mut events).payload, 1);
}

#[test]
fn a_slow_server_ends_in_a_timeout() {
    let database = Database::new();
    let Some(server) = database.faulty("a_slow_server_ends_in_a_timeout") else {
        return;
    };
    let mut config = database.config();
    config.timeout = Duration::from_millis(200);
    let backend = events_oracle_aq::open(config).unwrap();
    server
        .plan(Plan::at("DBMS_AQ.ENQUEUE").pause(Duration::from_secs(30)))
        .unwrap();
    let error = backend
        .publish(vec![NewEvent::new("orders", 1)])
        .wait()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    publish(&backend, "orders", 2);
    let mut events = subscribe(&backend, "orders");
    assert_eq!(next(&mut events).payload, 2);
}

#[test]
fn refusals_at_open_are_told_apart() {
    let database = Database::new();
    let Some(server) = database.faulty("refusals_at_open_are_told_apart") else {
        return;
    };
    let open = || events_oracle_aq::open(database.config()).map(drop);
    for (code, kind) in [
        (1017, ErrorKind::Auth),
        (28000, ErrorKind::Auth),
        (28001, ErrorKind::Auth),
        (1045, ErrorKind::Permission),
    ] {
        server.refuse_logins(Some(code)).unwrap();
        let error = open().unwrap_err();
        assert_eq!(error.kind(), kind, "{code}: {error}");
        assert!(!error.to_string().contains("tiger"), "{error}");
    }
    server.refuse_logins(None).unwrap();
    for code in [12541, 12514, 12170, 1034] {
        server.unreachable(Some(code)).unwrap();
        assert_eq!(open().unwrap_err().kind(), ErrorKind::Unavailable, "{code}");
    }
    server.unreachable(None).unwrap();
    open().unwrap();
}

#[test]
fn a_package_that_is_not_granted_is_not_configured() {
    let database = Database::new();
    let Some(server) = database.faulty("a_package_that_is_not_granted_is_not_configured") else {
        return;
    };
    let backend = database.open();
    server.revoke("DBMS_AQ", true).unwrap();
    let error = backend
        .publish(vec![NewEvent::new("orders", 1)])
        .wait()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConfigured, "{error}");
    assert!(error.to_string().contains("GRANT EXECUTE"), "{error}");
    server.revoke("DBMS_AQ", false).unwrap();
    publish(&backend, "orders", 1);
}
