//! A panic on the thread of a session: here in the program's own tracing subscriber.

use std::fmt::Debug;
use std::sync::Once;
use std::time::Duration;

use events_core::{Backend as _, ErrorKind, Next, RetryAfter, Verdict};
use events_oracle_standin::Plan;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::{Database, healed, item, next, put, settle, subscribe};

/// Panics at an event that names something explosive; other tests in this process name nothing so.
struct Explosive;

struct Fields;

impl Visit for Fields {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        assert!(!format!("{value:?}").contains("EXPLOSIVE"), "explosive");
    }
}

impl Subscriber for Explosive {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("events_oracle_aq")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Fields);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn explode() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Explosive).unwrap());
}

#[test]
fn a_panic_ends_the_stream_with_an_error() {
    let database = Database::new();
    let Some(server) = database.faulty("a_panic_ends_the_stream_with_an_error") else {
        return;
    };
    explode();
    let backend = database.open();
    let mut events = subscribe(&backend, "EXPLOSIVE");
    server.plan(Plan::at("DBMS_AQ.DEQUEUE").code(3113)).unwrap();
    let error = item(&mut events).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend, "{error}");
    assert!(error.to_string().contains("panicked"), "{error}");
    assert!(!error.stream_continues());
    assert!(matches!(events.wait_next(None), Next::Ended));
    backend.shutdown().wait().unwrap();
    assert_eq!(server.sessions().unwrap(), 0);
}

#[test]
fn a_panic_while_an_event_is_held_answers_and_gives_it_back() {
    let mut database = Database::empty();
    if database
        .faulty("a_panic_while_an_event_is_held_answers_and_gives_it_back")
        .is_none()
    {
        return;
    }
    explode();
    database.queue = "EXPLOSIVE".to_owned();
    let mut queue = database.described();
    queue.raw = true;
    database.provision(&queue);
    let backend = database.open();
    // Too long to be put back, which is told to the subscriber.
    let long = b"1".repeat(32_767);
    let block = include_str!("../../src/sql/enqueue_raw.sql");
    put(&database, &database.queue, block, &long, Some("orders"));
    let mut events = subscribe(&backend, "orders");
    let message = next(&mut events);
    let verdict = Verdict::Nack {
        retry: RetryAfter::Delay(Duration::ZERO),
        reason: Some("it failed".to_owned()),
    };
    let error = settle(&backend, &message, verdict).unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
    let error = item(&mut events).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend, "{error}");
    let mut others = subscribe(&backend, "orders");
    let again = healed(&mut others);
    assert_eq!(again.event_id, message.event_id);
}
