//! A password and a payload that must be nowhere: not in a log at its finest, not in `Debug`, not
//! in an error, not in the name of a counter. Alone in its binary, because a log is the process's.

use std::io::Write;
use std::sync::{Arc, Mutex};

use events_core::telemetry::{Telemetry, snapshot};
use events_core::{Backend as _, ChannelName, ErrorKind, NewEvent, PublishOptions, Subscribe};
use events_pg_native::{Endpoint, NotifyConfig, TransactionalPublish as _, open, tokio_postgres};
use events_testkit::postgres::{Server, ServerOptions};
use futures_util::StreamExt as _;
use serde_json::json;
use tokio::runtime::Handle;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;

const PASSWORD: &str = "canary-password";
const PAYLOAD: &str = "canary-payload";

/// Everything that was logged, by us and by the driver, which uses `log`.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl log::Log for Kept {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let _ = writeln!(self.clone(), "{} {}", record.target(), record.args());
    }

    fn flush(&self) {}
}

fn keep_logs() -> Kept {
    let kept = Kept::default();
    let writer = kept.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(move || writer.clone());
    let subscriber = tracing_subscriber::registry()
        .with(LevelFilter::TRACE)
        .with(layer);
    tracing_subscriber::util::SubscriberInitExt::try_init(subscriber).expect("nobody else logs");
    log::set_boxed_logger(Box::new(kept.clone())).expect("nobody else logs");
    log::set_max_level(log::LevelFilter::Trace);
    kept
}

fn clean(what: &str, text: &str) {
    for canary in [PASSWORD, PAYLOAD] {
        if let Some(at) = text.find(canary) {
            let from = at.saturating_sub(200);
            panic!("{what} shows {canary}: …{}", &text[from..at + canary.len()]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_and_a_payload_are_shown_nowhere() {
    let options = ServerOptions::new()
        .access("host all app all scram-sha-256")
        .setting("password_encryption = 'scram-sha-256'");
    let server = match Server::start(&options) {
        Ok(server) => server,
        Err(missing) => return missing.skip("a_password_and_a_payload_are_shown_nowhere"),
    };
    server.query(&format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'"));
    let kept = keep_logs();
    let runtime = Handle::current();
    let (port, name) = (server.port(), "secrets");
    let url = |login: &str, rest: &str| format!("postgres://{login}@127.0.0.1:{port}/{rest}");
    let config = |url: &str| {
        let mut config = NotifyConfig::new(Endpoint::parse(url).unwrap());
        config.telemetry = Telemetry::named(name);
        config
    };

    // All that works.
    let right = url(&format!("app:{PASSWORD}"), "postgres");
    let settings = config(&right);
    clean("the configuration", &format!("{settings:?}"));
    let backend = open(settings, &runtime).await.unwrap();
    clean("the backend", &format!("{backend:?}"));
    let channel = ChannelName::new("orders").unwrap();
    let mut events = backend.subscribe(Subscribe::new(channel)).await.unwrap();
    let metadata = PublishOptions::new().metadata(json!({"note": PAYLOAD}));
    let event = NewEvent::new("orders", PAYLOAD).options(metadata);
    backend.publish(vec![event.clone()]).await.unwrap();
    backend.publish(vec![event.clone(), event]).await.unwrap();
    let (mut client, connection) = tokio_postgres::connect(&right, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let tx = client.transaction().await.unwrap();
    let own = NewEvent::new("orders", PAYLOAD);
    let (_, wake) = backend.publish_in(&tx, own).await.unwrap();
    tx.commit().await.unwrap();
    wake.wake();
    for _ in 0..4 {
        let message = events.next().await.unwrap().unwrap();
        assert_eq!(message.payload, PAYLOAD);
    }

    // What does not.
    let mut errors = Vec::new();
    let large = NewEvent::new("orders", PAYLOAD.repeat(800));
    errors.push(backend.publish(vec![large]).await.unwrap_err());
    let bad = NewEvent::new(format!("{PAYLOAD} "), PAYLOAD);
    let refused = backend.publish(vec![bad]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'");
    errors.push(events.next().await.unwrap().unwrap_err());
    let wrong = [
        (
            url(&format!("app:{PASSWORD}-wrong"), "postgres"),
            ErrorKind::Auth,
        ),
        (url("app", "postgres"), ErrorKind::Auth),
        (
            url(&format!("app:{PASSWORD}"), "nowhere"),
            ErrorKind::NotConfigured,
        ),
        (
            url(&format!("app:{PASSWORD}"), "postgres?sslmode=require"),
            ErrorKind::Tls,
        ),
        (
            format!("postgres://app:{PASSWORD}@127.0.0.1:1/postgres"),
            ErrorKind::Unavailable,
        ),
    ];
    for (url, kind) in wrong {
        let error = open(config(&url), &runtime).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        errors.push(error);
    }
    backend.shutdown().await.unwrap();
    for error in errors {
        clean("an error", &format!("{error} {error:?} {error:#?}"));
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            clean("a cause", &format!("{error} {error:?}"));
            cause = error.source();
        }
    }
    clean("a counter", &format!("{:?}", snapshot()));
    let log = kept.text();
    assert!(log.contains("tokio_postgres"), "the driver logs too");
    assert!(log.contains("listening connection is lost"), "and we ours");
    clean("the log", &log);
}
