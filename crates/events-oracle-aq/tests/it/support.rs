//! A queue of each test's own, and waits that have an end.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use events_core::{
    Backend, BoxSubscription, ChannelName, EventId, EventMessage, NewEvent, PublishOptions, Result,
    RetryAfter, Settled, Settlement, Subscribe, Verdict,
};
use events_migrations::{AqKind, AqQueue};
use events_oracle_aq::{AqBackend, AqConfig, Flavour};
use events_oracle_session::{Server as Target, Session};
use events_oracle_standin::{Server, install};
use events_testkit::Missing;
use oracle::sql_type::{OracleType, ToSql};
use serde_json::Value;

/// No single event takes longer on a working server, however busy the machine is.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

const URL: &str = "EVENTS_TEST_ORACLE_URL";

/// Where a worker process finds the library and the server of its parent.
pub(crate) const LIBRARY: &str = "EVENTS_TEST_STANDIN_FOLDER";

/// The stand-in, loaded once for the process; `None` where a server is named.
pub(crate) fn library() -> Option<&'static PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        if std::env::var_os(URL).is_some() {
            return None;
        }
        let folder = match std::env::var_os(LIBRARY) {
            Some(folder) => PathBuf::from(folder),
            None => tempfile::Builder::new()
                .prefix("events-aq-")
                .tempdir()
                .unwrap()
                .keep(),
        };
        install(&folder).unwrap();
        oracle::InitParams::new()
            .oracle_client_lib_dir(&folder)
            .unwrap()
            .init()
            .unwrap();
        Some(folder)
    });
    folder.as_ref()
}

/// A database with a queue of one test's own.
pub(crate) struct Database {
    pub(crate) target: Target,
    pub(crate) queue: String,
    pub(crate) standin: Option<Server>,
}

impl Database {
    /// A database whose queue is not made yet.
    pub(crate) fn empty() -> Self {
        let id = EventId::new().to_string();
        let queue = format!("EVT_{}", id[20..].to_ascii_uppercase());
        let Some(library) = library() else {
            let url = std::env::var(URL).unwrap();
            return Self {
                target: Target::parse(&url).unwrap(),
                queue,
                standin: None,
            };
        };
        let server = Server::create(library, &format!("s{id}")).unwrap();
        let url = format!("oracle://app:tiger@standin/{}", server.service());
        Self {
            target: Target::parse(&url).unwrap(),
            queue,
            standin: Some(server),
        }
    }

    /// A database with a queue for JSON.
    pub(crate) fn new() -> Self {
        let database = Self::empty();
        database.provision(&database.described());
        database
    }

    /// The queue as it is made.
    pub(crate) fn described(&self) -> AqQueue {
        AqQueue::new(AqKind::Classic, &self.queue).unwrap()
    }

    pub(crate) fn provision(&self, queue: &AqQueue) {
        self.run(&queue.up());
    }

    pub(crate) fn run(&self, block: &str) {
        let session = Session::connect(&self.target, "aq", None).unwrap();
        session
            .execute(
                events_core::Op::Migrate,
                block.trim_end().trim_end_matches('/'),
                &[],
            )
            .unwrap();
    }

    pub(crate) fn config(&self) -> AqConfig {
        let mut config = AqConfig::new(self.target.clone(), Flavour::Aq);
        config.queue.clone_from(&self.queue);
        config.poll_interval = Some(Duration::from_millis(50));
        config.backoff.base = Duration::from_millis(1);
        config.telemetry = events_core::telemetry::Telemetry::named(&self.queue);
        config
    }

    pub(crate) fn open(&self) -> AqBackend {
        events_oracle_aq::open(self.config()).unwrap()
    }

    /// The stand-in's server; a test of faults says that it is skipped where there is a real one.
    pub(crate) fn faulty(&self, test: &str) -> Option<&Server> {
        if self.standin.is_none() {
            Missing::new("oracle-standin", "a real server is not told to misbehave").skip(test);
        }
        self.standin.as_ref()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        match &self.standin {
            Some(server) => drop(std::fs::remove_dir_all(server.folder())),
            None => {
                if let Ok(session) = Session::connect(&self.target, "aq", None) {
                    let down = self.described().down();
                    let down = down.trim_end().trim_end_matches('/');
                    let _ = session.execute(events_core::Op::Migrate, down, &[]);
                }
            }
        }
    }
}

pub(crate) fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

pub(crate) fn publish(backend: &AqBackend, name: &str, payload: impl Into<Value>) -> EventId {
    let event = NewEvent::new(name, payload.into());
    backend.publish(vec![event]).wait().unwrap()[0]
}

pub(crate) fn publish_with(
    backend: &AqBackend,
    name: &str,
    payload: impl Into<Value>,
    options: PublishOptions,
) -> EventId {
    let event = NewEvent::new(name, payload.into()).options(options);
    backend.publish(vec![event]).wait().unwrap()[0]
}

pub(crate) fn subscribe(backend: &AqBackend, name: &str) -> BoxSubscription {
    backend
        .subscribe(Subscribe::new(channel(name)))
        .wait()
        .unwrap()
}

pub(crate) fn item(events: &mut BoxSubscription) -> Result<EventMessage> {
    match events.wait_next(Some(std::time::Instant::now() + LIMIT)) {
        events_core::Next::Event(item) => item,
        other => panic!("no event came: {other:?}"),
    }
}

pub(crate) fn next(events: &mut BoxSubscription) -> EventMessage {
    item(events).unwrap()
}

/// The next event, whatever the stream tells of an outage before.
pub(crate) fn healed(events: &mut BoxSubscription) -> EventMessage {
    loop {
        match item(events) {
            Ok(message) => return message,
            Err(error) => assert!(error.stream_continues(), "{error}"),
        }
    }
}

pub(crate) fn nothing_within(events: &mut BoxSubscription, time: Duration) {
    match events.wait_next(Some(std::time::Instant::now() + time)) {
        events_core::Next::TimedOut => {}
        other => panic!("nothing was to come, but this did: {other:?}"),
    }
}

pub(crate) fn settle(
    backend: &AqBackend,
    message: &EventMessage,
    verdict: Verdict,
) -> Result<Settled> {
    let settlement = Settlement {
        event_id: message.event_id,
        receipt: message.receipt(),
        verdict,
    };
    backend.settle(vec![settlement]).wait().unwrap().remove(0)
}

pub(crate) fn ack(backend: &AqBackend, message: &EventMessage) {
    assert_eq!(
        settle(backend, message, Verdict::Ack).unwrap(),
        Settled::Recorded
    );
}

pub(crate) fn nack(retry: RetryAfter) -> Verdict {
    Verdict::Nack {
        retry,
        reason: None,
    }
}

/// Polls a condition until it holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + LIMIT;
    while !holds() {
        assert!(
            std::time::Instant::now() < end,
            "it never came to be that {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The dead letters of a JSON queue, read as any program with the privilege can.
pub(crate) fn dead_letters(database: &Database) -> Vec<Value> {
    let text = include_str!("../../src/sql/dequeue_json.sql");
    letters(database, text, &OracleType::CLOB, |statement| {
        statement.bind_value::<_, String>("payload").unwrap()
    })
}

/// The same of a RAW queue.
pub(crate) fn raw_dead_letters(database: &Database) -> Vec<Value> {
    let text = include_str!("../../src/sql/dequeue_raw.sql");
    letters(database, text, &OracleType::Raw(32_767), |statement| {
        let bytes: Vec<u8> = statement.bind_value("payload").unwrap();
        String::from_utf8(bytes).unwrap()
    })
}

fn letters(
    database: &Database,
    text: &str,
    payload: &OracleType,
    read: impl Fn(&oracle::Statement) -> String,
) -> Vec<Value> {
    let session = Session::connect(&database.target, "aq", None).unwrap();
    let connection = session.connection();
    let mut letters = Vec::new();
    loop {
        let mut statement = connection.statement(text).build().unwrap();
        let number = OracleType::Number(0, 0);
        statement
            .execute_named(&[
                ("visibility", &2),
                ("wait_seconds", &0),
                ("deq_condition", &"tab.corrid IN ('!orders')"),
                ("consumer_name", &None::<String>),
                ("queue_name", &database.queue),
                ("found", &number),
                ("payload", payload),
                ("msgid", &OracleType::Raw(16)),
                ("attempts", &number),
                ("priority", &number),
            ])
            .unwrap();
        if statement.bind_value::<_, i64>("found").unwrap() == 0 {
            break;
        }
        letters.push(serde_json::from_str(&read(&statement)).unwrap());
    }
    connection.rollback().unwrap();
    letters
}

/// Puts a message into a queue as a program that knows nothing of envelopes does.
pub(crate) fn put(
    database: &Database,
    queue: &str,
    block: &str,
    payload: &dyn ToSql,
    correlation: Option<&str>,
) {
    let session = Session::connect(&database.target, "aq", None).unwrap();
    let binds: [(&str, &dyn ToSql); 7] = [
        ("payload", payload),
        ("visibility", &2),
        ("correlation", &correlation),
        ("priority", &1),
        ("delay_seconds", &0),
        ("expiration_seconds", &-1),
        ("queue_name", &queue),
    ];
    session.connection().execute_named(block, &binds).unwrap();
    session.connection().commit().unwrap();
}
