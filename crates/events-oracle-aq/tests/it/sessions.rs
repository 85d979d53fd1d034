//! Threads and sessions: one for each event in hand, and all of them end.

use std::thread;
use std::time::{Duration, Instant};

use events_core::{Backend as _, ErrorKind, Subscribe};
use events_oracle_session::Session;
use events_oracle_standin::Plan;

use crate::support::{
    Database, LIMIT, ack, channel, item, next, nothing_within, publish, subscribe, until,
};

#[test]
fn a_second_event_while_one_is_unsettled_is_refused() {
    let database = Database::new();
    let backend = database.open();
    publish(&backend, "orders", 1);
    publish(&backend, "orders", 2);
    let mut events = subscribe(&backend, "orders");
    let first = next(&mut events);
    let error = item(&mut events).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsettled, "{error}");
    ack(&backend, &first);
    assert_eq!(next(&mut events).payload, 2);
}

#[test]
fn a_listener_waits_instead_until_one_is_settled() {
    let database = Database::new();
    let backend = database.open();
    publish(&backend, "orders", 1);
    publish(&backend, "orders", 2);
    let mut request = Subscribe::new(channel("orders"));
    request.listening = true;
    let mut events = backend.subscribe(request).wait().unwrap();
    let first = next(&mut events);
    nothing_within(&mut events, Duration::from_millis(50));
    let waiting = thread::spawn(move || next(&mut events).payload);
    ack(&backend, &first);
    assert_eq!(waiting.join().unwrap(), 2);
}

#[test]
fn concurrency_is_the_number_of_sessions() {
    let database = Database::new();
    let backend = database.open();
    for n in 0..3 {
        publish(&backend, "orders", n);
    }
    let mut request = Subscribe::new(channel("orders"));
    request.concurrency = 3;
    let mut events = backend.subscribe(request).wait().unwrap();
    let held: Vec<_> = (0..3).map(|_| next(&mut events)).collect();
    assert_eq!(item(&mut events).unwrap_err().kind(), ErrorKind::Unsettled);
    for message in held.iter().rev() {
        ack(&backend, message);
    }
}

#[test]
fn three_listeners_wait_in_parallel_and_end_at_once() {
    let database = Database::new();
    let mut config = database.config();
    config.poll_interval = None;
    config.wait = Duration::from_secs(60);
    let backend = events_oracle_aq::open(config).unwrap();
    let names = ["one", "two", "three"];
    let mut waiting = Vec::new();
    for name in names {
        let mut events = subscribe(&backend, name);
        waiting.push(thread::spawn(move || {
            let message = next(&mut events);
            (events, message)
        }));
    }
    // One waiting does not keep another from its event, in whatever order they come.
    for name in names.iter().rev() {
        publish(&backend, name, *name);
    }
    let mut streams = Vec::new();
    for thread in waiting {
        let (events, message) = thread.join().unwrap();
        ack(&backend, &message);
        streams.push(events);
    }
    let waiting: Vec<_> = streams
        .into_iter()
        .map(|mut events| thread::spawn(move || events.wait_next(Some(Instant::now() + LIMIT))))
        .collect();
    if let Some(server) = &database.standin {
        until("all three wait", || {
            server.calls("DBMS_AQ.DEQUEUE").unwrap() == 6
        });
    } else {
        thread::sleep(Duration::from_secs(1)); // nothing on a real server tells that they wait
    }
    let started = Instant::now();
    backend.shutdown().wait().unwrap();
    for thread in waiting {
        assert!(matches!(thread.join().unwrap(), events_core::Next::Ended));
    }
    // A second where the machine is free; the waits themselves are a minute long.
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    if let Some(server) = &database.standin {
        assert_eq!(server.sessions().unwrap(), 0);
    }
}

#[test]
fn what_could_break_a_call_keeps_no_session_open() {
    let database = Database::new();
    let session = Session::connect(&database.target, "aq", None).unwrap();
    let interrupter = session.interrupter();
    drop(session);
    if let Some(server) = &database.standin {
        assert_eq!(server.sessions().unwrap(), 0);
    }
    interrupter.interrupt();
}

#[test]
fn a_closed_stream_ends_its_session_and_no_other() {
    let database = Database::new();
    let mut config = database.config();
    config.poll_interval = None;
    config.wait = Duration::from_secs(60);
    let backend = events_oracle_aq::open(config).unwrap();
    let (mut one, mut two) = (subscribe(&backend, "one"), subscribe(&backend, "two"));
    nothing_within(&mut one, Duration::from_millis(50));
    nothing_within(&mut two, Duration::from_millis(50));
    let started = Instant::now();
    one.closer().close();
    assert!(matches!(one.wait_next(None), events_core::Next::Ended));
    assert!(started.elapsed() < Duration::from_secs(30));
    publish(&backend, "two", 2);
    assert_eq!(next(&mut two).payload, 2);
    if let Some(server) = &database.standin {
        until("one session waits, one publishes", || {
            server.sessions().unwrap() == 2
        });
    }
}

#[test]
fn a_backend_that_was_never_used_is_dropped_without_a_wait() {
    let database = Database::new();
    let test = "a_backend_that_was_never_used_is_dropped_without_a_wait";
    let Some(server) = database.faulty(test) else {
        return;
    };
    let backend = database.open();
    // Short enough for the session to be logged off after it.
    let plan = Plan::at("ROLLBACK").pause(Duration::from_secs(4));
    server.plan(plan).unwrap();
    drop(backend);
    // Another thread is still at its log-off.
    assert_eq!(server.sessions().unwrap(), 1);
}

#[test]
fn a_wait_of_months_is_taken() {
    let database = Database::new();
    let mut config = database.config();
    config.poll_interval = None;
    config.wait = Duration::from_secs(90 * 24 * 3600);
    let backend = events_oracle_aq::open(config).unwrap();
    let mut events = subscribe(&backend, "orders");
    nothing_within(&mut events, Duration::from_millis(50));
    publish(&backend, "orders", 1);
    ack(&backend, &next(&mut events));
}

#[test]
fn shutdown_gives_back_what_is_held_and_refuses_calls() {
    let database = Database::new();
    let backend = database.open();
    publish(&backend, "orders", 1);
    let mut events = subscribe(&backend, "orders");
    let message = next(&mut events);
    backend.shutdown().wait().unwrap();
    backend.shutdown().wait().unwrap();
    assert!(matches!(events.wait_next(None), events_core::Next::Ended));
    let late = backend.publish(vec![events_core::NewEvent::new("orders", 2)]);
    assert_eq!(late.wait().unwrap_err().kind(), ErrorKind::Closed);
    let late = backend.subscribe(Subscribe::new(channel("orders")));
    assert_eq!(late.wait().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(
        backend.health().wait().unwrap_err().kind(),
        ErrorKind::Closed
    );
    let other = database.open();
    let mut events = subscribe(&other, "orders");
    let again = next(&mut events);
    // It was given back, so nothing was attempted.
    assert_eq!((again.event_id, again.attempts), (message.event_id, 1));
}
