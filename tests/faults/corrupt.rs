//! A file that is damaged while it is open.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use event_channels::{
    Error, ErrorKind, EventChannel, EventId, EventMessage, EventsConfig, ListenOptions, NewEvent,
};
use rusqlite::Connection;
use serde_json::json;
use tokio::time::timeout;

use crate::peer::{PATIENCE, url};
use crate::upkeep::is_copied;

/// The header, the schema and the first pages of each table and index lie before this page.
const FIRST_PAGE: u64 = 24;
const EVENTS: u64 = 600;

pub(crate) async fn channel(file: &Path) -> EventChannel {
    let config = EventsConfig::new(url(file)).unwrap();
    let config = config.poll_interval(Duration::from_millis(100));
    config
        .name(format!("test_{}", EventId::new()))
        .open()
        .await
        .unwrap()
}

/// Overwrites a file with zeros from a page on, or cuts it off there. By another process: here, the
/// locks of SQLite would go.
fn damage(file: &Path, cut: bool) {
    let pages = file.metadata().unwrap().len() / 4096;
    assert!(pages > 2 * FIRST_PAGE, "too short to tell");
    let count = if cut { 0 } else { pages - FIRST_PAGE };
    let mut dd = Command::new("dd");
    dd.args(["if=/dev/zero", "bs=4096"])
        .arg(format!("of={}", file.display()))
        .args([format!("seek={FIRST_PAGE}"), format!("count={count}")])
        .stderr(Stdio::null());
    if !cut {
        dd.arg("conv=notrunc");
    }
    assert!(dd.status().unwrap().success());
}

/// Lets every connection forget the pages that it has read, as each commit of another one does.
fn forget_pages(file: &Path) {
    let other = Connection::open(file).unwrap();
    other.pragma_update(None, "user_version", 1).unwrap();
}

fn assert_damaged(error: &Error) {
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{text}");
    assert!(
        text.contains("damaged") && text.contains("restore a backup"),
        "{text}"
    );
}

async fn is_well(channel: &EventChannel) {
    let id = channel.publish("orders", 1).await.unwrap();
    let mut events = channel.iter_events("orders").await.unwrap();
    let message = timeout(PATIENCE, events.next()).await.expect("it is there");
    let message = message.unwrap().unwrap();
    assert_eq!(message.event_id, id);
    channel.ack(&message).await.unwrap();
}

async fn damaged_under_a_running_channel(cut: bool) {
    let folder = tempfile::tempdir().unwrap();
    let [file, other] = ["sick.db", "well.db"].map(|name| folder.path().join(name));
    let (sick, well) = (channel(&file).await, channel(&other).await);
    let event = |n| NewEvent::new("orders", json!({"n": n, "pad": "x".repeat(500)}));
    sick.publish_many((0..EVENTS).map(event)).await.unwrap();
    let until = Instant::now() + PATIENCE;
    while !is_copied(&file) {
        assert!(Instant::now() < until, "the log is not copied");
        tokio::time::sleep(Duration::from_millis(20)).await; // between two looks
    }
    damage(&file, cut);
    forget_pages(&file);

    // The stream ends with the error; what it could still read is handed over before.
    let mut events = sick.iter_events("orders").await.unwrap();
    let error = loop {
        match timeout(PATIENCE, events.next()).await.expect("no hang") {
            Some(Ok(message)) => drop(sick.ack(&message).await),
            Some(Err(error)) => break error,
            None => panic!("the stream ended as if the queue were empty"),
        }
    };
    assert_damaged(&error);
    assert!(
        timeout(PATIENCE, events.next())
            .await
            .expect("no hang")
            .is_none()
    );
    let refused = sick.publish_many((0..EVENTS).map(event)).await;
    assert_damaged(&refused.unwrap_err());
    is_well(&well).await;

    // A listener tells its owner, and tries again after growing pauses.
    let notices = Arc::new(AtomicU32::new(0));
    let told = Arc::clone(&notices);
    let options = ListenOptions::new().on_notice(move |error| {
        assert_damaged(error);
        told.fetch_add(1, Ordering::SeqCst);
    });
    let handler = |_: EventMessage| async { Ok(()) };
    let start = Instant::now();
    let listener = sick.listen("orders", options, handler).await.unwrap();
    while notices.load(Ordering::SeqCst) < 5 {
        assert!(start.elapsed() < PATIENCE, "nobody was told");
        tokio::time::sleep(Duration::from_millis(10)).await; // between two looks
    }
    // 50, 100, 200 and 400 ms lie between the first five.
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(700), "five times in {took:?}");
    listener.stop().await;
    is_well(&well).await;
    for channel in [sick, well] {
        timeout(PATIENCE, channel.shutdown())
            .await
            .expect("no hang")
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g2_pages_that_are_overwritten_under_a_running_channel_are_an_error_and_no_empty_queue() {
    damaged_under_a_running_channel(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g2_a_file_that_is_cut_off_under_a_running_channel_is_an_error_and_no_empty_queue() {
    damaged_under_a_running_channel(true).await;
}
