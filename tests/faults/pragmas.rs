//! Settings of another program: those that a file keeps, made before the library comes, and those
//! that are tried while it is at work.

use std::path::Path;
use std::time::Duration;

use event_channels::EventChannel;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::corrupt::channel;
use crate::peer::{PATIENCE, assert_sound};

/// What another program may have made a file with.
const MADE: &[&str] = &[
    "PRAGMA journal_mode = OFF",
    "PRAGMA journal_mode = MEMORY",
    "PRAGMA journal_mode = PERSIST",
    "PRAGMA journal_mode = TRUNCATE",
    "PRAGMA journal_mode = WAL",
    "PRAGMA encoding = 'UTF-16le'",
    "PRAGMA encoding = 'UTF-16be'",
    "PRAGMA page_size = 512",
    "PRAGMA page_size = 65536",
    "PRAGMA auto_vacuum = FULL",
    "PRAGMA auto_vacuum = NONE",
    "PRAGMA secure_delete = ON",
    "PRAGMA application_id = 7; PRAGMA user_version = 99",
    "PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE",
];

/// What it may try on a connection of its own; what SQLite answers is its own affair.
const TRIED: &[&str] = &[
    "PRAGMA journal_mode = OFF",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA journal_mode = MEMORY",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA synchronous = OFF",
    "PRAGMA wal_autocheckpoint = 1",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA journal_size_limit = 0",
    "PRAGMA auto_vacuum = FULL",
    "PRAGMA page_size = 1024",
    "PRAGMA encoding = 'UTF-16le'",
    "PRAGMA user_version = 100",
    "PRAGMA foreign_keys = ON",
    "PRAGMA recursive_triggers = ON",
    "PRAGMA ignore_check_constraints = ON",
    "PRAGMA incremental_vacuum",
    "PRAGMA optimize",
    "VACUUM",
    "ANALYZE",
    "REINDEX",
];

fn journal_mode(file: &Path) -> String {
    let other = Connection::open(file).unwrap();
    other
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap()
}

/// Several rows of one event each, of which one needs pages of its own.
async fn is_well(channel: &EventChannel, what: &str) {
    let payloads: [Value; 3] = [
        json!("ü 日本 \u{1F600}"),
        json!("x".repeat(20_000)),
        json!(1),
    ];
    for payload in &payloads {
        channel.publish("orders", payload).await.unwrap();
    }
    let mut events = channel.iter_events("orders").await.unwrap();
    for payload in payloads {
        let next = timeout(PATIENCE, events.next()).await;
        let message = next.expect("it is there").unwrap();
        let message = message.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(message.payload, payload, "{what}");
        channel.ack(&message).await.unwrap();
    }
}

/// The write-ahead log is switched on whatever a file was made with, and the file is kept as it is
/// otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn g1_a_file_that_another_program_has_made_gets_a_log_and_keeps_its_tables() {
    for made in MADE {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.db");
        let other = Connection::open(&file).unwrap();
        other.execute_batch(made).unwrap();
        other
            .execute_batch("CREATE TABLE theirs (a TEXT); INSERT INTO theirs VALUES ('ü')")
            .unwrap();
        drop(other);
        let channel = channel(&file).await;
        assert_eq!(journal_mode(&file), "wal", "{made}");
        is_well(&channel, made).await;
        timeout(PATIENCE, channel.shutdown())
            .await
            .unwrap()
            .unwrap();
        assert_sound(&file);
        let other = Connection::open(&file).unwrap();
        let theirs: String = other
            .query_row("SELECT a FROM theirs", [], |row| row.get(0))
            .unwrap();
        assert_eq!(theirs, "ü", "{made}");
    }
}

/// While a channel has the file open nobody takes its log away, and whatever else is tried beside
/// it, no event is lost or doubled.
#[tokio::test(flavor = "multi_thread")]
async fn g2_what_another_program_sets_beside_a_running_channel_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.db");
    let channel = channel(&file).await;
    is_well(&channel, "before").await;
    let mut acked = 3;
    for tried in TRIED {
        let kept = channel.publish("later", *tried).await.unwrap();
        let other = Connection::open(&file).unwrap();
        other.busy_timeout(Duration::from_millis(50)).unwrap();
        // A write under the setting too, where it is allowed.
        let set = format!(
            "{tried}; CREATE TABLE IF NOT EXISTS theirs (a); INSERT INTO theirs VALUES (1)"
        );
        let _ = other.execute_batch(&set);
        drop(other);
        assert_eq!(journal_mode(&file), "wal", "{tried}");
        is_well(&channel, tried).await;
        acked += 3;
        let stats = channel.stats("orders").await.unwrap().total();
        assert_eq!(
            (stats.acked, stats.ready + stats.leased),
            (acked, 0),
            "{tried}"
        );
        let mut events = channel.iter_events("later").await.unwrap();
        let message = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
        let message = message.unwrap();
        assert_eq!((message.event_id, &message.payload), (kept, &json!(tried)));
        channel.ack(&message).await.unwrap();
    }
    timeout(PATIENCE, channel.shutdown())
        .await
        .unwrap()
        .unwrap();
    assert_sound(&file);
}
