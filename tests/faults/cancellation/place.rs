//! Channels whose leases and poll intervals are too long to help, so that only a release helps.

use std::sync::Arc;
use std::time::Duration;

use event_channels::{
    BackendKind, EventChannel, EventMessage, Events, EventsConfig, GroupStats, Result,
};
use events_queue::{MemoryStore, QueueBackend, QueueConfig};
use events_testkit::postgres::{Database, database};
use events_testkit::{cancel_at, next};
use tempfile::TempDir;
use tokio::runtime::Handle;

use crate::peer::{PATIENCE, url};

/// No test waits so long.
pub(super) const NEVER: Duration = Duration::from_secs(3600);
/// More polls than any future of this library takes.
pub(super) const MANY: usize = 64;

/// A channel and what it needs to live.
pub(super) struct Place {
    pub(super) what: &'static str,
    pub(super) channel: EventChannel,
    pub(super) folder: TempDir,
}

impl Place {
    pub(super) fn config(&self) -> EventsConfig {
        config(&url(&self.folder.path().join("events.db")))
    }

    /// What is stored for the channel `orders` once everything that was begun has ended.
    pub(super) async fn settled(&self) -> GroupStats {
        // A write is answered behind the writes before it. The first one waits for what was begun,
        // the second for what its end may have begun: a release. On PostgreSQL each statement of a
        // claim takes its turn at the only connection.
        let rounds = if self.what == "postgres" { 16 } else { 2 };
        for _ in 0..rounds {
            let _ = self.channel.subscribe_group("fence", "a").await.unwrap();
        }
        self.channel.stats("orders").await.unwrap().total()
    }

    pub(super) async fn events(&self) -> Events {
        self.channel.iter_events("orders").await.unwrap()
    }

    /// Publishes an event and receives it.
    pub(super) async fn held(&self, payload: usize) -> EventMessage {
        self.channel.publish("orders", payload).await.unwrap();
        let mut events = self.events().await;
        let message = next(&mut events).await;
        assert_eq!(message.payload, payload, "{}", self.what);
        message
    }
}

fn config(url: &str) -> EventsConfig {
    let config = EventsConfig::new(url).unwrap();
    config.lease(NEVER).poll_interval(NEVER)
}

/// One of each sort, all empty.
pub(super) async fn places() -> Vec<Place> {
    let mut places = Vec::from(local_places().await);
    places.extend(postgres_place().await.map(|(place, _)| place));
    places
}

/// On PostgreSQL, with the database.
pub(super) async fn postgres_place() -> Option<(Place, Database)> {
    match database() {
        Ok(database) => {
            // With one connection, what is asked for later is answered later.
            let on_server = config(database.url())
                .backend(BackendKind::PollQueue)
                .auto_migrate(true)
                .pool_size(1);
            let place = Place {
                what: "postgres",
                channel: on_server.open().await.unwrap(),
                folder: tempfile::tempdir().unwrap(),
            };
            Some((place, database))
        }
        Err(missing) => {
            missing.skip("cancellation on PostgreSQL");
            None
        }
    }
}

async fn local_places() -> [Place; 3] {
    let folder = || tempfile::tempdir().unwrap();
    let file = folder();
    let on_file = config(&url(&file.path().join("events.db")));
    let queue = QueueConfig {
        lease: NEVER,
        poll_interval: NEVER,
        ..QueueConfig::default()
    };
    let reference = QueueBackend::start(MemoryStore::new(), queue, &Handle::current()).unwrap();
    [
        Place {
            what: "file",
            channel: on_file.open().await.unwrap(),
            folder: file,
        },
        Place {
            what: "memory",
            channel: config("sqlite::memory:").open().await.unwrap(),
            folder: folder(),
        },
        Place {
            what: "reference",
            channel: EventChannel::new(Arc::new(reference)),
            folder: folder(),
        },
    ]
}

/// Does something for 0, 1, 2, … polls until it runs to its end; `check` looks at what each left.
pub(super) async fn at_each_poll<T>(
    attempt: impl AsyncFn(usize) -> Attempt<T>,
    check: impl AsyncFn(usize, Option<T>),
) {
    for polls in 0..MANY {
        let attempt = tokio::time::timeout(PATIENCE, attempt(polls)).await;
        let attempt = attempt.unwrap_or_else(|_| panic!("no end in {PATIENCE:?}, {polls} polls"));
        let ended = attempt.is_some();
        check(polls, attempt).await;
        if ended {
            assert!(polls > 0, "a future that is not polled does not end");
            return;
        }
    }
    panic!("it did not end within {MANY} polls");
}

/// The output, if there was one.
pub(super) type Attempt<T> = Option<T>;

/// The same for calls that answer a result, which must be good.
pub(super) async fn try_at<T>(polls: usize, call: impl Future<Output = Result<T>>) -> Attempt<T> {
    let answer = cancel_at(polls, call).await;
    answer.map(|answer| answer.expect("the call does not fail"))
}
