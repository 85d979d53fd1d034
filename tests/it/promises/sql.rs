//! Guarantee 17: nothing that is passed becomes SQL. That secrets stay secret is tried where a
//! subscriber is installed, in `telemetry/secrets.rs`.

use std::time::{Duration, Instant};

use event_channels::{
    ErrorKind, EventMessage, EventsConfig, IterOptions, ListenOptions, NewEvent, PublishOptions,
    blocking,
};
use events_testkit::process::PATIENCE;
use rusqlite::Connection;
use serde_json::{Value, json};

/// Whoever puts one of these into a statement changes what it means, or breaks it.
const HOSTILE: &[&str] = &[
    "x'; DROP TABLE sqlspec_event_queue; --",
    "x\"; DELETE FROM sqlspec_event_queue; --",
    "'",
    "\"",
    "''\"\"",
    "x' OR '1'='1",
    "?1",
    ":name",
    "$1",
    "@x",
    "%' ESCAPE '\\",
    "/* */ --",
    "[x]",
    "`x`",
    "x\u{0}y",
    "x;y",
];

/// Legal names that are words of SQL.
const WORDS: &[&str] = &[
    "select", "table", "order", "null", "_", "rowid", "main", "SELECT",
];

/// Everything that the file says of itself, and what other tables hold.
fn schema(file: &std::path::Path) -> Vec<String> {
    let database = Connection::open(file).unwrap();
    let mut lines = database
        .prepare("SELECT type || name || coalesce(sql, '') FROM sqlite_master UNION ALL SELECT secret FROM theirs ORDER BY 1")
        .unwrap();
    let lines = lines.query_map([], |row| row.get(0)).unwrap();
    lines.collect::<Result<_, _>>().unwrap()
}

#[test]
fn g17_no_name_and_no_value_becomes_sql() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let config = EventsConfig::new(format!("sqlite:{}", file.display())).unwrap();
    let channel = blocking::EventChannel::open(config.clone().max_attempts(1)).unwrap();
    let database = Connection::open(&file).unwrap();
    database
        .execute_batch("CREATE TABLE theirs (secret); INSERT INTO theirs VALUES ('theirs')")
        .unwrap();
    let before = schema(&file);

    // As names they are refused, by every call that takes one, and quoted in the error.
    let kept = channel.publish("orders", "kept").unwrap();
    for name in HOSTILE {
        let group = IterOptions::new().group(*name);
        for error in [
            channel.publish(*name, 1).unwrap_err(),
            channel.publish_many([NewEvent::new(*name, 1)]).unwrap_err(),
            channel.iter_events(*name).unwrap_err(),
            channel.iter_events_with("orders", group).unwrap_err(),
            channel.subscribe_group("orders", *name).unwrap_err(),
            channel.stats(*name).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name:?}: {error}");
        }
        let table = blocking::EventChannel::open(config.clone().queue_table(*name));
        let error = table.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{name:?}: {error}");
    }
    assert_eq!(schema(&file), before);

    // As values they are kept and come back as they are: payloads, keys of objects, metadata, and
    // the reason of a failure.
    let mut events = channel.iter_events("orders").unwrap();
    let message = events.next().unwrap().unwrap();
    assert_eq!(message.event_id, kept);
    let _ = channel.ack(&message).unwrap();
    let values: Vec<_> = HOSTILE.iter().filter(|text| !text.contains('\0')).collect();
    for text in &values {
        let payload = json!({**text: [text]});
        let metadata = json!({**text: text});
        let options = PublishOptions::new().metadata(&metadata);
        channel.publish_with("orders", &payload, options).unwrap();
        let message = events.next().unwrap().unwrap();
        assert_eq!(message.payload, payload);
        assert_eq!(message.metadata.clone().map(Value::from), Some(metadata));
        let _ = channel.ack(&message).unwrap();
        channel.publish("refused", text).unwrap();
    }
    let handler = |message: EventMessage| Err(message.payload.as_str().unwrap().into());
    let listener = channel
        .listen("refused", ListenOptions::new(), handler)
        .unwrap();
    let admin = channel.admin().unwrap();
    let until = Instant::now() + PATIENCE;
    let dead = loop {
        let dead = admin
            .dead_letters("refused".try_into().unwrap(), 100)
            .wait();
        match dead.unwrap() {
            dead if dead.len() == values.len() => break dead,
            dead => assert!(Instant::now() < until, "{dead:?}"),
        }
        std::thread::sleep(Duration::from_millis(5)); // between two looks
    };
    listener.stop().unwrap();
    for letter in dead {
        assert_eq!(letter.last_error.as_deref(), letter.payload.as_str());
    }
    assert_eq!(schema(&file), before);

    // Words of SQL are names like others: of channels, groups and tables.
    for word in WORDS {
        let channel = blocking::EventChannel::open(config.clone().queue_table(*word)).unwrap();
        channel.subscribe_group(*word, *word).unwrap();
        let id = channel.publish(*word, *word).unwrap();
        let group = IterOptions::new().group(*word);
        let mut events = channel.iter_events_with(*word, group).unwrap();
        let message = events.next().unwrap().unwrap();
        assert_eq!((message.event_id, &message.payload), (id, &json!(word)));
        let _ = channel.ack(&message).unwrap();
    }
    let after = schema(&file);
    assert!(before.iter().all(|line| after.contains(line)), "{after:?}");
}
