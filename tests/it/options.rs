//! Every option takes effect, as a key of a configuration file.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_channels::{
    ErrorKind, EventChannel, EventMessage, EventsConfig, ListenOptions, Result, RetryAfter,
    Settled, blocking,
};
use rusqlite::Connection;
use tempfile::TempDir;

/// A database of its own, and a configuration with `keys`.
fn config(folder: &TempDir, keys: &str) -> EventsConfig {
    EventsConfig::from_toml_str(&format!("url = 'sqlite:{}'\n{keys}", path(folder))).unwrap()
}

fn path(folder: &TempDir) -> String {
    folder.path().join("app.db").display().to_string()
}

fn ask<T: rusqlite::types::FromSql>(folder: &TempDir, sql: &str) -> T {
    Connection::open(path(folder))
        .unwrap()
        .query_row(sql, [], |row| row.get(0))
        .unwrap()
}

async fn take(channel: &EventChannel) -> EventMessage {
    channel
        .iter_events("orders")
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
        .unwrap()
}

async fn open(folder: &TempDir, keys: &str) -> EventChannel {
    config(folder, keys).open().await.unwrap()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn queue_table() {
    let folder = folder();
    let channel = open(&folder, "queue_table = 'app_events'").await;
    channel.publish("orders", 1).await.unwrap();
    assert_eq!(ask::<i64>(&folder, "SELECT count(*) FROM app_events"), 1);
    let index =
        "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name = 'idx_app_events_claim'";
    assert_eq!(ask::<i64>(&folder, index), 1);
    let unknown = "SELECT count(*) FROM sqlite_master WHERE name LIKE '%sqlspec%'";
    assert_eq!(ask::<i64>(&folder, unknown), 0);
    let schema = open(&folder, "queue_table = 'main.app_events'").await;
    assert_eq!(take(&schema).await.payload, 1);
}

#[tokio::test]
async fn lease_seconds() {
    let folder = folder();
    let channel = open(&folder, "lease_seconds = 60").await;
    channel.publish("orders", 1).await.unwrap();
    let message = take(&channel).await;
    let left: f64 = ask(
        &folder,
        "SELECT (lease_expires_at - CAST(unixepoch('subsec') * 1000000 AS INTEGER)) / 1e6 FROM sqlspec_event_queue",
    );
    assert!((50.0..=60.1).contains(&left), "{left} seconds are left");
    assert!(message.lease_expires_at.is_some());
}

#[tokio::test]
async fn retention_seconds() {
    let folder = folder();
    for (keys, kept) in [
        ("retention_seconds = 0", 0),
        ("retention_seconds = '1d'", 1),
    ] {
        let channel = open(&folder, keys).await;
        channel.publish("orders", 1).await.unwrap();
        let message = take(&channel).await;
        assert_eq!(channel.ack(&message).await.unwrap(), Settled::Recorded);
        assert_eq!(
            ask::<i64>(&folder, "SELECT count(*) FROM sqlspec_event_queue"),
            kept
        );
    }
}

/// D9: options of another database are accepted, checked, and change nothing here.
#[tokio::test]
async fn options_of_other_databases_are_ignored() {
    let keys = "in_memory = true\naq_queue = 'APP_EVENTS'\naq_groups = true\naq_wait_seconds = 10\naq_visibility = 'AQMSG_VISIBLE'\n\
                listener_queue_capacity = 5\nlistener_overflow = 'block'\nspill_table = 'spilled'";
    let (with, without) = (folder(), folder());
    open(&with, keys).await.publish("orders", 1).await.unwrap();
    open(&without, "").await.publish("orders", 1).await.unwrap();
    let tables = "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_master ORDER BY name)";
    assert_eq!(
        ask::<String>(&with, tables),
        ask::<String>(&without, tables)
    );
    for bad in [
        "in_memory = 1",
        "aq_visibility = 'SOMETIMES'",
        "listener_queue_capacity = 0",
        "aq_wait_seconds = 'soon'",
    ] {
        let error = EventsConfig::from_toml_str(&format!("url = 'sqlite::memory:'\n{bad}"))
            .and_then(|config| tokio_free_check(&config))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{bad}: {error}");
    }
}

/// A configuration is checked when it is opened, so that setters cannot get around it.
fn tokio_free_check(config: &EventsConfig) -> Result<()> {
    std::thread::scope(|scope| {
        let opened = scope.spawn(|| blocking::EventChannel::open(config.clone()).map(drop));
        opened.join().unwrap()
    })
}

#[tokio::test]
async fn max_attempts_and_backoff() {
    let folder = folder();
    let channel = open(
        &folder,
        "max_attempts = 2\nbackoff_base = '1h'\nbackoff_max = '2h'",
    )
    .await;
    channel.publish("orders", 1).await.unwrap();
    let mut events = channel.iter_events("orders").await.unwrap();
    let message = events.next().await.unwrap().unwrap();
    assert_eq!(
        channel.nack(&message, RetryAfter::Policy).await.unwrap(),
        Settled::Recorded
    );
    assert_eq!(
        channel.stats("orders").await.unwrap().total().delayed,
        1,
        "it waits for its back-off"
    );
    Connection::open(path(&folder))
        .unwrap()
        .execute("UPDATE sqlspec_event_queue SET available_at = 0", [])
        .unwrap();
    let again = take(&channel).await;
    assert_eq!(again.attempts, 2);
    assert_eq!(
        channel.nack(&again, RetryAfter::Policy).await.unwrap(),
        Settled::Recorded
    );
    assert_eq!(channel.stats("orders").await.unwrap().total().dead, 1);
}

#[tokio::test]
async fn poll_interval_and_its_alias() {
    let keys = "poll_interval = 600\nevent_poll_interval = '10ms'\nname = 'alias_wins'";
    let folder = folder();
    let channel = open(&folder, keys).await;
    let consumer = channel.clone();
    let waiting = tokio::spawn(async move { take(&consumer).await.payload });
    let looks = || channel.telemetry_snapshot()["alias_wins.events.poll.query"];
    let looked = async {
        while looks() < 5.0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), looked).await;
    in_time.expect("with the other interval there would be one look in ten minutes");
    channel.publish("orders", 1).await.unwrap();
    assert_eq!(waiting.await.unwrap(), 1);
}

#[tokio::test]
async fn backend_names_aliases_and_fallback() {
    for name in [
        "poll_queue",
        "queue",
        "notify",
        "native_postgres",
        "aq",
        "oracle_aq",
        "notify_queue",
        "txeventq",
    ] {
        let folder = folder();
        let channel = open(
            &folder,
            &format!("backend = '{name}'\nname = 'fallback_{name}'"),
        )
        .await;
        assert_eq!(channel.backend_name(), "poll_queue");
        let key = format!("fallback_{name}.events.fallback");
        let native = !matches!(name, "poll_queue" | "queue");
        assert_eq!(
            channel.telemetry_snapshot()[&key],
            f64::from(u8::from(native)),
            "{name}"
        );
        channel.publish("orders", name).await.unwrap();
        assert_eq!(take(&channel).await.payload, name);
        if native {
            // The table is looked at before the queue is used instead.
            let keys = format!("backend = '{name}'\nauto_migrate = false\nqueue_table = 'missing'");
            let missing = config(&folder, &keys).open().await.map(drop).unwrap_err();
            assert_eq!(missing.kind(), ErrorKind::SchemaMissing, "{missing}");
            let strict = config(&folder, &format!("backend = '{name}'\nfallback = 'error'"));
            assert_eq!(
                strict.open().await.map(drop).unwrap_err().kind(),
                ErrorKind::Unsupported
            );
        }
    }
    let both = "url = 'sqlite::memory:'\nbackend = 'aq'\nevents_backend = 'aq'";
    assert_eq!(
        EventsConfig::from_toml_str(both).unwrap_err().kind(),
        ErrorKind::InvalidConfig
    );
}

#[tokio::test]
async fn auto_ack_and_concurrency_and_handler_timeout() {
    let folder = folder();
    let channel = open(
        &folder,
        "auto_ack = false\nconcurrency = 3\nhandler_timeout = '1h'",
    )
    .await;
    let together = Arc::new(tokio::sync::Barrier::new(4));
    let inside = Arc::clone(&together);
    let handler = move |_| {
        let inside = Arc::clone(&inside);
        async move {
            inside.wait().await;
            Ok(())
        }
    };
    channel
        .listen("orders", ListenOptions::new(), handler)
        .await
        .unwrap();
    for n in 0..3 {
        channel.publish("orders", n).await.unwrap();
    }
    together.wait().await; // three handlers at once, and this test
    let stats = channel.stats("orders").await.unwrap().total();
    assert_eq!((stats.acked, stats.leased), (0, 3));

    let short = open(&folder, "handler_timeout = '20ms'\nmax_attempts = 1").await;
    short
        .listen("slow", ListenOptions::new(), |_| std::future::pending())
        .await
        .unwrap();
    short.publish("slow", 1).await.unwrap();
    while short.stats("slow").await.unwrap().total().dead == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn prefetch() {
    let folder = folder();
    let channel = open(&folder, "prefetch = 7").await;
    channel
        .publish_many((0..20).map(|n| event_channels::NewEvent::new("orders", n)))
        .await
        .unwrap();
    let mut events = channel.iter_events("orders").await.unwrap();
    events.next().await.unwrap().unwrap();
    assert_eq!(channel.stats("orders").await.unwrap().total().leased, 7);
    drop(events);
}

#[tokio::test]
async fn max_payload_bytes() {
    let folder = folder();
    let channel = open(&folder, "max_payload_bytes = 10").await;
    channel.publish("orders", "12345678").await.unwrap();
    let error = channel.publish("orders", "123456789").await.unwrap_err();
    assert!(error.to_string().contains("limit is 10"), "{error}");
}

#[tokio::test]
async fn auto_migrate_and_drain_deadline_and_portal_bridge() {
    let folder = folder();
    let refused = config(&folder, "auto_migrate = false")
        .open()
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::SchemaMissing);

    let channel = open(
        &folder,
        "drain_deadline = '30ms'\nportal_bridge = false\nlease_seconds = 3600",
    )
    .await;
    assert_eq!(
        channel.blocking().map(drop).unwrap_err().kind(),
        ErrorKind::InvalidConfig
    );
    let started = Arc::new(tokio::sync::Notify::new());
    let runs = Arc::new(AtomicUsize::new(0));
    let (entered, counted) = (Arc::clone(&started), Arc::clone(&runs));
    let handler = move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        entered.notify_one();
        std::future::pending()
    };
    channel
        .listen("orders", ListenOptions::new(), handler)
        .await
        .unwrap();
    channel.publish("orders", 1).await.unwrap();
    started.notified().await;
    channel.shutdown().await.unwrap();
    // What the deadline cut short was released at once, and its attempt not counted.
    let again = take(&open(&folder, "").await).await;
    assert_eq!((again.attempts, runs.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn name_prefixes_the_snapshot_and_is_shared() {
    let folder = folder();
    let [first, second] = [
        open(&folder, "name = 'shared_name'").await,
        open(&folder, "name = 'shared_name'").await,
    ];
    first.publish("orders", 1).await.unwrap();
    second.publish("orders", 2).await.unwrap();
    assert_eq!(
        first.telemetry_snapshot()["shared_name.events.publish"],
        2.0
    );
}

#[test]
fn url_env() {
    let missing =
        EventsConfig::from_toml_str("url_env = 'EVENTS_TEST_NO_SUCH_VARIABLE'").unwrap_err();
    assert!(
        missing.to_string().contains("EVENTS_TEST_NO_SUCH_VARIABLE"),
        "{missing}"
    );
}

#[test]
fn typos_and_sections_are_told_the_right_key() {
    for (keys, hint) in [
        ("queue_tabel = 'x'", "queue_table"),
        ("lease_second = 1", "lease_seconds"),
        ("[extension_config.events]\nqueue_table = 'x'", "top"),
        ("[driver_features]\nevents_backend = 'aq'", "top"),
        ("backend = 'listen_notify'", "notify"),
        ("backend = 'table_queue'", "poll_queue"),
        ("backend = 'rabbit'", "poll_queue"),
    ] {
        let error =
            EventsConfig::from_toml_str(&format!("url = 'sqlite::memory:'\n{keys}")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{keys}");
        assert!(error.to_string().contains(hint), "{keys}: {error}");
    }
}
