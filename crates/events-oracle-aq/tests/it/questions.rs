//! Questions that only an Oracle server can answer; on the stand-in they are skipped.
//!
//! Each test asserts what the code counts on, so a server that differs is told at once. Run them with
//! `EVENTS_TEST_ORACLE_URL=oracle://… cargo test -p events-oracle-aq questions -- --nocapture`.

use std::io::Write as _;
use std::time::{Duration, Instant};

use events_core::{
    Admin as _, Backend as _, ErrorKind, GroupName, NewEvent, PublishOptions, RetryAfter, Subscribe,
};
use events_migrations::{AqKind, AqQueue};
use events_oracle_aq::Flavour;
use events_oracle_session::Session;
use events_testkit::Missing;
use serde_json::json;

use crate::support::{
    Database, ack, channel, nack, next, nothing_within, publish, publish_with, settle, subscribe,
};

/// A queue on a real server, or the skip that is said aloud.
fn real(question: &str, queue: impl FnOnce(&Database)) -> Option<Database> {
    let database = Database::empty();
    if database.standin.is_some() {
        Missing::new("oracle-server", "EVENTS_TEST_ORACLE_URL names none").skip(question);
        return None;
    }
    queue(&database);
    Some(database)
}

fn json_queue(database: &Database) {
    database.provision(&database.described());
}

fn say(question: &str, answer: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{question}: {answer}");
}

/// 1: the blocks work on a classic JSON queue, small and with 200 kB.
#[test]
fn the_blocks_are_accepted() {
    let Some(database) = real("the_blocks_are_accepted", json_queue) else {
        return;
    };
    let backend = database.open();
    let mut events = subscribe(&backend, "orders");
    for payload in [json!({"n": 1}), json!("x".repeat(200_000))] {
        publish(&backend, "orders", payload.clone());
        let message = next(&mut events);
        assert_eq!(message.payload, payload);
        ack(&backend, &message);
    }
}

/// Rules route to subscribers by correlation, of either kind of queue, and a subscriber gets what it
/// put back alone; whether a view shows dead letters of groups.
#[test]
fn rules_route_to_groups() {
    for (flavour, kind) in [
        (Flavour::Aq, AqKind::Classic),
        (Flavour::TxEventQ, AqKind::TxEventQ),
    ] {
        let multiple = |database: &Database| {
            let mut queue = AqQueue::new(kind, &database.queue).unwrap();
            queue.multiple_consumers = true;
            database.provision(&queue);
        };
        let Some(database) = real("rules_route_to_groups", multiple) else {
            return;
        };
        let mut config = database.config();
        config.flavour = flavour;
        config.groups = true;
        let backend = events_oracle_aq::open(config).unwrap();
        let consume = |of: &str| {
            let mut request = Subscribe::new(channel("user_events"));
            request.group = Some(GroupName::new(of).unwrap());
            backend.subscribe(request).wait().unwrap()
        };
        let (mut one, mut other) = (consume("one"), consume("other"));
        publish(&backend, "userXevents", 0);
        let id = publish(&backend, "user_events", 1);
        for events in [&mut one, &mut other] {
            let message = next(events);
            assert_eq!(message.event_id, id);
            let again = RetryAfter::Delay(Duration::from_millis(1));
            settle(&backend, &message, nack(again)).unwrap();
        }
        for events in [&mut one, &mut other] {
            let message = next(events);
            assert_eq!((message.event_id, message.attempts), (id, 2));
            settle(&backend, &message, nack(RetryAfter::Never)).unwrap();
            nothing_within(events, Duration::from_secs(2));
        }
        let letters = backend.dead_letters(channel("user_events"), 10);
        let letters = letters.wait().map(|letters| letters.len());
        say(
            "dead letters of groups",
            format!("{flavour:?}: {letters:?}"),
        );
        drop((one, other, backend));
        database.run(&AqQueue::new(kind, &database.queue).unwrap().down());
    }
}

/// 2: the condition on the correlation routes; in what order one producer's messages come.
#[test]
fn the_condition_routes() {
    let Some(database) = real("the_condition_routes", json_queue) else {
        return;
    };
    let backend = database.open();
    for n in 0..20 {
        publish(
            &backend,
            if n % 2 == 0 {
                "user_events"
            } else {
                "userXevents"
            },
            n,
        );
    }
    let mut events = subscribe(&backend, "user_events");
    let mut order = Vec::new();
    for _ in 0..10 {
        let message = next(&mut events);
        order.push(message.payload.as_i64().unwrap());
        ack(&backend, &message);
    }
    say("order under a condition", format!("{order:?}"));
    order.sort_unstable();
    assert_eq!(order, (0..20).step_by(2).collect::<Vec<i64>>());
}

/// 3: what the catalogue calls the payload of a JSON queue.
#[test]
fn the_catalogue_names_json() {
    let Some(database) = real("the_catalogue_names_json", json_queue) else {
        return;
    };
    let session = Session::connect(&database.target, "aq", None).unwrap();
    let probe = include_str!("../../src/sql/probe.sql");
    let row = session
        .connection()
        .query_row_named(probe, &[("queue_name", &database.queue)])
        .unwrap();
    let column = |n: usize| row.get::<_, Option<String>>(n).unwrap();
    say(
        "type and object type",
        format!("{:?} {:?}", column(2), column(3)),
    );
    database.open();
}

/// 4: the code of a queue that is missing, seen by a dequeue rather than by the catalogue.
#[test]
fn a_dropped_queue_has_a_known_code() {
    let Some(database) = real("a_dropped_queue_has_a_known_code", json_queue) else {
        return;
    };
    let backend = database.open();
    database.run(&database.described().down());
    let error = backend
        .publish(vec![NewEvent::new("orders", 1)])
        .wait()
        .unwrap_err();
    say("a dropped queue", &error);
    assert_eq!(error.kind(), ErrorKind::NotConfigured);
}

/// 5: a break ends a waiting dequeue at once.
#[test]
fn a_break_ends_a_waiting_dequeue() {
    let Some(database) = real("a_break_ends_a_waiting_dequeue", json_queue) else {
        return;
    };
    let mut config = database.config();
    config.poll_interval = None;
    config.wait = Duration::from_secs(60);
    let backend = events_oracle_aq::open(config).unwrap();
    let mut events = subscribe(&backend, "orders");
    crate::support::nothing_within(&mut events, Duration::from_secs(2));
    let started = Instant::now();
    backend.shutdown().wait().unwrap();
    say(
        "shutdown of a waiting dequeue",
        format!("{:?}", started.elapsed()),
    );
    assert!(started.elapsed() < Duration::from_secs(2));
}

/// 6: the enqueue block as an array of binds.
#[test]
fn an_array_of_blocks_is_accepted() {
    let Some(database) = real("an_array_of_blocks_is_accepted", json_queue) else {
        return;
    };
    let backend = database.open();
    let batch = (0..100).map(|n| NewEvent::new("orders", n)).collect();
    assert_eq!(backend.publish(batch).wait().unwrap().len(), 100);
}

/// Whether a transactional event queue orders by priority, also by a negative one.
#[test]
fn a_transactional_queue_orders_by_priority() {
    let queue = |database: &Database| {
        database.provision(&AqQueue::new(AqKind::TxEventQ, &database.queue).unwrap());
    };
    let Some(database) = real("a_transactional_queue_orders_by_priority", queue) else {
        return;
    };
    let mut config = database.config();
    config.flavour = Flavour::TxEventQ;
    let backend = events_oracle_aq::open(config).unwrap();
    for priority in [0, -5, 5, 100, i16::MIN] {
        let options = PublishOptions::new().priority(priority);
        publish_with(&backend, "orders", priority, options);
    }
    let mut events = subscribe(&backend, "orders");
    let mut order = Vec::new();
    for _ in 0..5 {
        let message = next(&mut events);
        order.push(message.payload.as_i64().unwrap());
        ack(&backend, &message);
    }
    say("priorities of a transactional queue", format!("{order:?}"));
    assert_eq!(order, [100, 5, 0, -5, i64::from(i16::MIN)]);
    database.run(
        &AqQueue::new(AqKind::TxEventQ, &database.queue)
            .unwrap()
            .down(),
    );
}

/// 10: rollbacks are counted, and above `max_retries` the message leaves the queue.
#[test]
fn rollbacks_are_counted_and_bounded() {
    let queue = |database: &Database| {
        let mut queue = database.described();
        queue.max_retries = 2;
        database.provision(&queue);
    };
    let Some(database) = real("rollbacks_are_counted_and_bounded", queue) else {
        return;
    };
    let backend = database.open();
    publish(&backend, "orders", 1);
    let mut events = subscribe(&backend, "orders");
    for attempt in 1..=3 {
        let message = next(&mut events);
        assert_eq!(message.attempts, attempt);
        settle(&backend, &message, nack(RetryAfter::Delay(Duration::ZERO))).unwrap();
    }
    crate::support::nothing_within(&mut events, Duration::from_secs(3));
}
