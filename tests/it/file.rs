//! Files that are not what they should be, and what is said about them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use event_channels::{
    Error, ErrorKind, EventChannel, EventMessage, EventsConfig, ListenOptions, Op,
};
use rusqlite::Connection;

fn config(path: &Path) -> EventsConfig {
    EventsConfig::new(format!("sqlite:{}", path.display())).unwrap()
}

async fn refused(config: EventsConfig, kind: ErrorKind, hints: &[&str]) -> Error {
    let error = config
        .open()
        .await
        .map(drop)
        .expect_err("the file is no good");
    assert_eq!(error.kind(), kind, "{error}");
    for hint in hints {
        assert!(
            error.to_string().contains(hint),
            "{hint:?} is not in: {error}"
        );
    }
    error
}

#[tokio::test]
async fn no_database_a_folder_and_a_missing_folder() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(
        &text,
        "this is a text, and long enough to be looked at as a header of a database",
    )
    .unwrap();
    refused(config(&text), ErrorKind::Corrupt, &["notes.txt"]).await;
    assert!(
        fs::read_to_string(&text)
            .unwrap()
            .starts_with("this is a text"),
        "the file was touched"
    );
    refused(
        config(folder.path()),
        ErrorKind::Unavailable,
        &["is a folder"],
    )
    .await;
    let missing = folder.path().join("nowhere").join("app.db");
    refused(
        config(&missing),
        ErrorKind::NotConfigured,
        &["nowhere", "does not exist"],
    )
    .await;
}

#[tokio::test]
async fn a_damaged_database_is_reported_and_never_an_empty_queue() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let channel = config(&path).open().await.unwrap();
    for n in 0..2000 {
        channel
            .publish("orders", format!("{n} {}", "x".repeat(200)))
            .await
            .unwrap();
    }
    channel.shutdown().await.unwrap();
    let mut bytes = fs::read(&path).unwrap();
    // Everything but the header and the schema.
    bytes[4096 * 12..].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let answer = async {
        let channel = config(&path).open().await?;
        let mut events = channel.iter_events("orders").await?;
        loop {
            let message = events
                .next()
                .await
                .expect("the stream says what is wrong")?;
            let _ = channel.ack(&message).await?;
        }
        #[expect(unreachable_code, reason = "names the type")]
        Ok::<(), Error>(())
    };
    let answer = tokio::time::timeout(std::time::Duration::from_secs(30), answer)
        .await
        .expect("no hang");
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn without_auto_migrate_a_missing_table_names_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let config = config(&path).queue_table("app_events").auto_migrate(false);
    refused(
        config.clone(),
        ErrorKind::SchemaMissing,
        &["app_events", "events migrate up"],
    )
    .await;
    config.migrate_up().await.unwrap();
    config.open().await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_and_a_foreign_table_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    config(&path)
        .open()
        .await
        .unwrap()
        .shutdown()
        .await
        .unwrap();
    let database = Connection::open(&path).unwrap();
    database
        .execute(
            "INSERT INTO event_channels_migrations VALUES ('sqlspec_event_queue', 'ext_events_9999', 'x', 0)",
            [],
        )
        .unwrap();
    refused(
        config(&path),
        ErrorKind::SchemaNewer,
        &["ext_events_9999", "sqlspec_event_queue"],
    )
    .await;
    database
        .execute(
            "CREATE TABLE theirs (event_id VARCHAR(64), payload_json TEXT)",
            [],
        )
        .unwrap();
    refused(
        config(&path).queue_table("theirs"),
        ErrorKind::InvalidConfig,
        &["theirs", "queue_table"],
    )
    .await;
}

#[tokio::test]
async fn a_new_file_belongs_to_its_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let channel = EventChannel::open(config(&path)).await.unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    channel.shutdown().await.unwrap();
}

/// 100: a look that fails does not end a listener; it is told, counted, and tried again.
#[tokio::test]
async fn a_listener_goes_on_after_the_table_was_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let config = config(&path)
        .name("table_was_away")
        .poll_interval(Duration::from_millis(10));
    let channel = config.open().await.unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (seen, mut events) = tokio::sync::mpsc::unbounded_channel();
    let options = ListenOptions::new().on_notice(move |error| {
        let _ = tell.send(error.clone());
    });
    let handler = move |message: EventMessage| {
        let _ = seen.send(message.payload);
        std::future::ready(Ok(()))
    };
    let listener = channel.listen("orders", options, handler).await.unwrap();
    let database = Connection::open(&path).unwrap();
    let rename = |from: &str, to: &str| {
        let sql = format!("ALTER TABLE {from} RENAME TO {to}");
        while database.execute_batch(&sql).is_err() {
            // The listener looks at it just now.
            std::thread::yield_now();
        }
    };
    rename("sqlspec_event_queue", "away");
    for _ in 0..3 {
        let error = told.recv().await.unwrap();
        assert_eq!(
            (error.kind(), error.op()),
            (ErrorKind::SchemaMissing, Op::Claim),
            "{error}"
        );
    }
    assert!(listener.is_running());
    rename("away", "sqlspec_event_queue");
    channel.publish("orders", "back again").await.unwrap();
    assert_eq!(events.recv().await.unwrap(), "back again");
    let errors = channel.telemetry_snapshot()["table_was_away.events.dequeue.error"];
    assert!(errors >= 3.0, "{errors}");
    listener.stop().await;
}

/// X29: what another program wrote is never dropped and never retried for ever.
#[tokio::test]
async fn a_row_that_is_no_json_becomes_a_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let channel = config(&path).open().await.unwrap();
    channel.publish("orders", "good").await.unwrap();
    let database = Connection::open(&path).unwrap();
    database
        .execute(
            "INSERT INTO sqlspec_event_queue (queue_id, event_id, priority, available_at, created_at, payload)
             SELECT queue_id, zeroblob(16), 9, 0, 0, 'no json' FROM sqlspec_event_queue_queue",
            [],
        )
        .unwrap();
    let mut events = channel.iter_events("orders").await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().payload, "good");
    let admin = channel.admin().unwrap();
    let dead = admin
        .dead_letters("orders".try_into().unwrap(), 9)
        .await
        .unwrap();
    assert_eq!((dead.len(), dead[0].reason.as_str()), (1, "undecodable"));
    assert_eq!(dead[0].payload, "no json");
}
