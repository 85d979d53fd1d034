//! The specification's quick start, line by line, on a file and in memory, async and blocking.

#![expect(
    clippy::never_loop,
    reason = "the specification breaks after the first event"
)]

use event_channels::{EventChannel, EventsConfig, ListenOptions, Settled, blocking};
use serde_json::json;
use tempfile::TempDir;

fn urls(folder: &TempDir) -> [String; 2] {
    [
        "sqlite::memory:".to_owned(),
        format!("sqlite:{}", folder.path().join("app.db").display()),
    ]
}

#[tokio::test]
async fn quick_start() {
    let folder = tempfile::tempdir().unwrap();
    for url in urls(&folder) {
        let config = EventsConfig::new(url).unwrap().queue_table("app_events");
        let channel = EventChannel::open(config).await.unwrap();
        let id = channel
            .publish(
                "notifications",
                json!({"type": "cache_invalidate", "key": "user:1"}),
            )
            .await
            .unwrap();
        let mut events = channel.iter_events("notifications").await.unwrap();
        while let Some(message) = events.next().await {
            let message = message.unwrap();
            assert_eq!(
                message.payload,
                json!({"type": "cache_invalidate", "key": "user:1"})
            );
            assert_eq!(message.event_id, id);
            assert_eq!(
                channel.ack(message.event_id).await.unwrap(),
                Settled::Recorded
            );
            break;
        }
    }
}

#[test]
fn quick_start_blocking() {
    let folder = tempfile::tempdir().unwrap();
    for url in urls(&folder) {
        let config = EventsConfig::new(url).unwrap().queue_table("app_events");
        let channel = blocking::EventChannel::open(config).unwrap();
        channel
            .publish(
                "notifications",
                json!({"type": "cache_invalidate", "key": "user:1"}),
            )
            .unwrap();
        for message in channel.iter_events("notifications").unwrap() {
            let message = message.unwrap();
            assert_eq!(message.payload["key"], "user:1");
            assert_eq!(channel.ack(message.event_id).unwrap(), Settled::Recorded);
            break;
        }
    }
}

/// The specification's listeners: async with `auto_ack`, blocking without.
#[tokio::test(flavor = "multi_thread")]
async fn listeners() {
    let channel = EventChannel::open("sqlite::memory:").await.unwrap();
    let (seen, mut payloads) = tokio::sync::mpsc::unbounded_channel();
    let options = ListenOptions::new()
        .poll_interval(std::time::Duration::from_millis(500))
        .auto_ack(true);
    let listener = channel
        .listen("notifications", options, move |message| {
            let seen = seen.clone();
            async move {
                seen.send((message.channel.to_string(), message.payload))?;
                Ok(())
            }
        })
        .await
        .unwrap();
    channel
        .publish("notifications", json!({"type": "refresh", "user_id": 42}))
        .await
        .unwrap();
    let (name, payload) = payloads.recv().await.unwrap();
    assert_eq!(
        (name.as_str(), payload),
        ("notifications", json!({"type": "refresh", "user_id": 42}))
    );
    assert!(channel.stop_listener(listener.id()).await.unwrap());
}

#[test]
fn a_listener_thread_and_a_publisher_share_a_database_in_memory() {
    let channel = blocking::EventChannel::open("sqlite::memory:").unwrap();
    let (seen, payloads) = std::sync::mpsc::channel();
    let own = channel.clone();
    let listener = channel
        .listen(
            "notifications",
            ListenOptions::new().auto_ack(false),
            move |message| {
                own.ack(&message)?;
                seen.send(message.payload)?;
                Ok(())
            },
        )
        .unwrap();
    let publisher = channel.clone();
    std::thread::spawn(move || {
        publisher
            .publish("notifications", json!({"type": "user_update"}))
            .unwrap()
    })
    .join()
    .unwrap();
    assert_eq!(payloads.recv().unwrap(), json!({"type": "user_update"}));
    channel.stop_listener(listener.id()).unwrap();
}
