//! Guarantee 17: passwords and payloads appear neither in what is logged at any level, nor in spans,
//! nor in `Debug`, nor in errors. What is done here fails wherever it can.

use std::fmt::Write as _;
use std::time::Duration;

use event_channels::{
    EventChannel, EventMessage, EventsConfig, ListenOptions, NewEvent, PublishOptions, RetryAfter,
};
use rusqlite::Connection;
use serde_json::json;

use crate::config;
use crate::subscriber::{install, mentions};

const PAYLOAD: &str = "canary_of_a_payload_51c0";
const METADATA: &str = "canary_of_metadata_9ae2";
const PASSWORD: &str = "canary_of_a_password_77b1";

/// What the library said to its caller.
#[derive(Default)]
struct Said(String);

impl Said {
    fn hear<T: std::fmt::Debug, E: std::error::Error>(&mut self, answer: Result<T, E>) {
        match answer {
            Ok(_) => {}
            Err(error) => {
                let mut cause: Option<&dyn std::error::Error> = Some(&error);
                while let Some(this) = cause {
                    writeln!(self.0, "{this} {this:?}").unwrap();
                    cause = this.source();
                }
            }
        }
    }

    fn see(&mut self, thing: &dyn std::fmt::Debug) {
        writeln!(self.0, "{thing:?} {thing:#?}").unwrap();
    }
}

fn event(payload: serde_json::Value) -> NewEvent {
    let metadata = json!({METADATA: METADATA});
    NewEvent::new("orders", payload).options(PublishOptions::new().metadata(metadata))
}

/// Publishing, consuming and settling, well and in every way that fails.
async fn work(channel: &EventChannel, file: &std::path::Path, said: &mut Said) {
    for good in 0..8 {
        said.hear(channel.publish_event(event(json!({PAYLOAD: good}))).await);
    }
    for bad in [
        NewEvent::new("orders", format!("{PAYLOAD}\0")),
        NewEvent::new("orders", PAYLOAD.repeat(100_000)),
        NewEvent::from_json("orders", format!("[\"{PAYLOAD}\", 1e999]")),
        NewEvent::from_json("orders", format!("{{\"{PAYLOAD}\": ")),
        NewEvent::new("orders", 1).options(PublishOptions::new().metadata(json!([METADATA]))),
    ] {
        let refused = channel.publish_event(bad).await;
        assert!(refused.is_err());
        said.hear(refused);
    }
    let mut events = channel.iter_events("orders").await.unwrap();
    let message = events.next().await.unwrap().unwrap();
    said.hear(channel.nack(&message, RetryAfter::Never).await);
    let message = events.next().await.unwrap().unwrap();
    said.hear(channel.ack(&message).await);
    drop(events);

    // A handler that fails, panics, and runs out of time, and a row that is no JSON.
    let database = Connection::open(file).unwrap();
    let insert =
        "INSERT INTO sqlspec_event_queue (queue_id, event_id, available_at, created_at, payload)
         SELECT queue_id, zeroblob(16), 0, 0, ?1 FROM sqlspec_event_queue_queue";
    database.execute(insert, [PAYLOAD]).unwrap();
    let handler = |message: EventMessage| async move {
        match message.payload[PAYLOAD].as_u64().unwrap() % 3 {
            0 => Err("no".into()),
            1 => panic!("as the test wants it"),
            _ => std::future::pending().await,
        }
    };
    let options = ListenOptions::new()
        .concurrency(4)
        .handler_timeout(Duration::from_millis(5));
    let listener = channel.listen("orders", options, handler).await.unwrap();
    while channel.stats("orders").await.unwrap().total().dead < 8 {
        tokio::time::sleep(Duration::from_millis(5)).await; // between two looks
    }
    // The table goes away: every call fails, and the listener is told.
    database
        .execute_batch("ALTER TABLE sqlspec_event_queue RENAME TO away")
        .unwrap();
    let refused = channel.publish_event(event(json!(PAYLOAD))).await;
    assert!(refused.is_err());
    said.hear(refused);
    database
        .execute_batch("ALTER TABLE away RENAME TO sqlspec_event_queue")
        .unwrap();
    said.hear(channel.publish_event(event(json!(PAYLOAD))).await);
    listener.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g17_no_payload_and_no_password_is_told_to_anybody() {
    install();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let mut said = Said::default();
    let config = config(&format!("sqlite:{}", file.display()))
        .max_attempts(1)
        .poll_interval(Duration::from_millis(10));
    let channel = config.open().await.unwrap();
    work(&channel, &file, &mut said).await;
    said.see(&channel);
    said.hear(channel.shutdown().await);

    // Nobody listens on the first port; the others are no addresses.
    for url in [
        format!("postgres://user:{PASSWORD}@127.0.0.1:1/db"),
        format!("postgres://user:{PASSWORD}@127.0.0.1:port/db"),
        format!("postgres://user:{PASSWORD}@127.0.0.1:1/db?sslmode=perhaps"),
        format!("oracle://user:{PASSWORD}@127.0.0.1:1/service"),
        format!("oracle://user:{PASSWORD}@"),
        format!("mysql://user:{PASSWORD}@127.0.0.1/db"),
    ] {
        match EventsConfig::new(&*url) {
            Ok(config) => {
                said.see(&config);
                let opened = config.open().await;
                assert!(opened.is_err());
                said.hear(opened);
            }
            Err(error) => said.hear(Err::<(), _>(error)),
        }
        let keys = format!("url = '{url}'\nno_such_key = 1");
        said.hear(EventsConfig::from_toml_str(&keys));
    }
    assert!(said.0.lines().count() > 15, "{}", said.0);
    for secret in [PAYLOAD, METADATA, PASSWORD] {
        assert!(!said.0.contains(secret), "{secret} in: {}", said.0);
        let mentions = mentions(secret);
        assert!(mentions.is_empty(), "{secret} in: {mentions:?}");
    }
}
