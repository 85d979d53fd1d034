//! What a subscriber is told of each operation: 47, a span that ends with its error, and no payload.

use std::time::Duration;

use event_channels::{
    BackendKind, ErrorKind, EventChannel, EventsConfig, IterOptions, ListenOptions, NewEvent,
    PublishOptions, RetryAfter, TraceParent,
};
use serde_json::json;
use tracing::Instrument as _;

use crate::config;
use crate::subscriber::{Kept, install, kept, warnings};

/// Stands in every payload and every metadata; a span that shows it shows too much.
const CANARY: &str = "canary_7f3a";

async fn open(change: impl FnOnce(EventsConfig) -> EventsConfig) -> EventChannel {
    install();
    change(config("sqlite::memory:")).open().await.unwrap()
}

/// The spans about a channel; none shows the canary.
fn about(name: &str, channel: &str) -> Vec<Kept> {
    let spans = kept(name, |span| {
        span.fields.get("channel").is_some_and(|c| c == channel)
    });
    for span in &spans {
        assert!(!format!("{span:?}").contains(CANARY), "{span:?}");
    }
    spans
}

fn only(mut spans: Vec<Kept>) -> Kept {
    assert_eq!(spans.len(), 1, "{spans:?}");
    spans.remove(0)
}

fn failed_with(span: &Kept, hint: &str) {
    assert!(span.ended, "{span:?}");
    assert_eq!(span.field("otel.status_code"), "ERROR");
    assert!(span.field("error").contains(hint), "{span:?}");
}

#[tokio::test]
async fn a_publish_ends_with_its_id_inside_the_span_of_its_caller() {
    let channel = open(|c| c).await;
    let options = PublishOptions::new().metadata(json!({"k": CANARY}));
    let publish = channel.publish_with("spans_publish", CANARY, options);
    let id = publish
        .instrument(tracing::info_span!("request"))
        .await
        .unwrap();
    let span = only(about("events.publish", "spans_publish"));
    assert!(span.ended && !span.has("error"), "{span:?}");
    assert_eq!(span.around, ["request"]);
    assert_eq!(span.field("event_id"), id.to_string());
    for (field, value) in [
        ("backend", "poll_queue"),
        ("events", "1"),
        ("otel.kind", "producer"),
    ] {
        assert_eq!(span.field(field), value);
    }
}

#[tokio::test]
async fn a_failing_batch_ends_its_span_with_the_error() {
    let channel = open(|c| c.max_payload_bytes(8)).await;
    let batch = ["a", "too long a payload"].map(|text| NewEvent::new("spans_batch", text));
    channel.publish_many(batch).await.unwrap_err();
    let span = only(about("events.publish", "spans_batch"));
    assert_eq!(span.field("events"), "2");
    failed_with(&span, "max_payload_bytes");

    // An error of the database, which ends it later and elsewhere.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.db");
    let channel = config(&format!("sqlite:{}", file.display()))
        .open()
        .await
        .unwrap();
    let database = rusqlite::Connection::open(&file).unwrap();
    database
        .execute_batch("DROP TABLE sqlspec_event_queue_queue")
        .unwrap();
    let batch = [1, 2].map(|n| NewEvent::new("spans_dropped", n));
    let error = channel.publish_many(batch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMissing);
    failed_with(
        &only(about("events.publish", "spans_dropped")),
        "schema missing",
    );
}

#[test]
fn a_failing_batch_ends_its_span_with_the_error_in_blocking_code() {
    install();
    let config = config("sqlite::memory:").max_payload_bytes(8);
    let channel = event_channels::blocking::EventChannel::open(config).unwrap();
    channel.publish("spans_blocking_ok", 1).unwrap();
    let span = only(about("events.publish", "spans_blocking_ok"));
    assert!(span.ended && !span.has("error"));
    let batch = ["a", "too long a payload"].map(|text| NewEvent::new("spans_blocking", text));
    channel.publish_many(batch).unwrap_err();
    failed_with(
        &only(about("events.publish", "spans_blocking")),
        "max_payload_bytes",
    );
}

#[tokio::test]
async fn a_claim_tells_what_it_asked_for_and_what_it_got() {
    let channel = open(|c| c).await;
    let options = IterOptions::new().group("billing").prefetch(5);
    let mut events = channel
        .iter_events_with("spans_claim", options)
        .await
        .unwrap();
    let three = [1, 2, 3].map(|n| NewEvent::new("spans_claim", n));
    channel.publish_many(three).await.unwrap();
    events.next().await.unwrap().unwrap();
    let span = only(about("events.claim", "spans_claim"));
    assert!(span.ended && !span.has("error"), "{span:?}");
    for (field, value) in [("group", "billing"), ("limit", "5"), ("events", "3")] {
        assert_eq!(span.field(field), value);
    }
}

#[tokio::test]
async fn a_verdict_that_comes_too_late_is_an_error_of_its_span() {
    let lease = Duration::from_millis(50);
    let channel = open(|c| c.lease(lease).poll_interval(lease)).await;
    channel.publish("spans_settle", 1).await.unwrap();
    let mut events = channel.iter_events("spans_settle").await.unwrap();
    let first = events.next().await.unwrap().unwrap();
    let second = events.next().await.unwrap().unwrap();
    assert_eq!(second.attempts, 2);
    let late = channel
        .ack(&first)
        .instrument(tracing::info_span!("spans_late"));
    late.await.unwrap_err();
    let good = channel
        .nack(&second, RetryAfter::Never)
        .instrument(tracing::info_span!("spans_good"));
    good.await.unwrap();
    let inside = |name: &str| only(kept("events.settle", |span| span.around == [name]));
    let late = inside("spans_late");
    assert_eq!((late.field("verdict"), late.field("failed")), ("ack", "1"));
    failed_with(&late, "hold lost");
    let good = inside("spans_good");
    assert_eq!((good.field("verdict"), good.field("events")), ("nack", "1"));
    assert!(good.ended && !good.has("error") && !good.has("failed"));
}

/// 53, X20: a fallback is one warning, which says what was wanted, what is used and why.
#[tokio::test]
async fn a_fallback_warns_once() {
    let channel = open(|c| c.backend(BackendKind::TxEventQ)).await;
    assert_eq!(channel.backend_name(), "poll_queue");
    channel.publish("spans_fallback", 1).await.unwrap();
    let warnings = warnings("requested", "txeventq");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0]["fallback"], "poll_queue");
    assert!(warnings[0]["reason"].contains("SQLite"), "{warnings:?}");
}

/// How the handler of the event `payload` ends.
async fn behave(payload: &str) -> event_channels::HandlerResult {
    tracing::info!("at work");
    match payload {
        "error" => Err("the bank is closed".into()),
        "panic" => panic!("as the test wants it"),
        "timeout" => std::future::pending().await,
        _ => Ok(()),
    }
}

const OUTCOMES: [(&str, &str); 4] = [
    ("ok", ""),
    ("error", "the bank is closed"),
    ("panic", "handler panicked: as the test wants it"),
    ("timeout", "handler timed out after 20ms"),
];

/// The spans of the handlers, one for each way to end.
fn check_handlers(channel: &str, here: TraceParent) {
    let spans = about("events.handle", channel);
    for (outcome, reason) in OUTCOMES {
        let is_it = |span: &&Kept| span.fields.get("outcome").is_some_and(|o| o == outcome);
        let of: Vec<_> = spans.iter().filter(is_it).cloned().collect();
        let span = only(of);
        assert!(span.ended, "{span:?}");
        assert_eq!(span.field("traceparent"), here.to_string());
        assert_eq!(span.field("attempts"), "1");
        assert_eq!(span.field("otel.kind"), "consumer");
        assert_eq!(span.logged[0], "at work", "{span:?}");
        match outcome {
            "ok" => assert!(!span.has("error")),
            _ => failed_with(&span, reason),
        }
    }
}

#[tokio::test]
async fn a_handler_has_a_span_that_ends_as_it_ends() {
    let here = TraceParent::new(0xabc, 0xdef, true).unwrap();
    for (name, concurrency) in [("spans_one", 1), ("spans_many", 3)] {
        let channel = open(|c| c.max_attempts(1)).await;
        let options = ListenOptions::new()
            .concurrency(concurrency)
            .handler_timeout(Duration::from_millis(20));
        let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let handler = move |message: event_channels::EventMessage| {
            let (sender, trace) = (sender.clone(), message.traceparent());
            async move {
                let _ = sender.send(trace);
                behave(message.payload.as_str().unwrap()).await
            }
        };
        let listener = channel.listen(name, options, handler).await.unwrap();
        for (payload, _) in OUTCOMES {
            let options = PublishOptions::new()
                .metadata(json!({"k": CANARY}))
                .traceparent(here);
            channel.publish_with(name, payload, options).await.unwrap();
            assert_eq!(seen.recv().await.unwrap(), Some(here));
        }
        // The last one has its time limit, and stopping waits for it.
        listener.stop().await;
        check_handlers(name, here);
    }
}

#[test]
fn a_blocking_handler_has_a_span_too() {
    install();
    let config = config("sqlite::memory:");
    let channel = event_channels::blocking::EventChannel::open(config).unwrap();
    let (sender, seen) = std::sync::mpsc::channel();
    let handler = move |message: event_channels::EventMessage| {
        tracing::info!("at work");
        let _ = sender.send(message.traceparent());
        Err("the bank is closed".into())
    };
    let listener = channel
        .listen("spans_thread", ListenOptions::new(), handler)
        .unwrap();
    let foreign = PublishOptions::new().metadata(json!({"traceparent": CANARY}));
    channel
        .publish_with("spans_thread", CANARY, foreign)
        .unwrap();
    assert_eq!(
        seen.recv().unwrap(),
        None,
        "what is not well-formed is absent"
    );
    listener.stop().unwrap();
    let span = about("events.handle", "spans_thread").remove(0);
    assert!(!span.has("traceparent"));
    assert_eq!(span.logged[0], "at work");
    failed_with(&span, "the bank is closed");
}

#[tokio::test]
async fn migrations_and_the_shutdown_have_spans() {
    let channel = open(|c| c.queue_table("spans_up")).await;
    let up = |span: &Kept| span.field("table") == "spans_up";
    assert_eq!(
        only(kept("events.migrate", up)).field("migrations"),
        "ext_events_0001"
    );
    let shutdown = async { channel.shutdown().await };
    shutdown
        .instrument(tracing::info_span!("spans_shutdown"))
        .await
        .unwrap();
    let ended = only(kept("events.shutdown", |span| {
        span.around == ["spans_shutdown"]
    }));
    assert!(ended.ended);
    assert_eq!(
        (ended.field("listeners"), ended.field("released")),
        ("0", "0")
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.db");
    let database = rusqlite::Connection::open(&file).unwrap();
    database
        .execute_batch("CREATE TABLE spans_foreign (a)")
        .unwrap();
    let config = config(&format!("sqlite:{}", file.display())).queue_table("spans_foreign");
    config.open().await.unwrap_err();
    let foreign = |span: &Kept| span.field("table") == "spans_foreign";
    failed_with(&only(kept("events.migrate", foreign)), "spans_foreign");
}
