//! A file whose clock stands still until a test moves it, and channels on it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use event_channels::{
    EventChannel, EventMessage, Events, GroupStats, IterOptions, Settled, Timestamp,
};
use events_queue::Clock;
use events_queue_sqlite::SqliteConfig;
use events_testkit::{next, nothing_within};
use tempfile::TempDir;
use tokio::runtime::Handle;

pub(super) const LEASE: Duration = Duration::from_secs(30);
/// Several poll intervals: who was not given an event by then is not given it.
pub(super) const REST: Duration = Duration::from_millis(300);

pub(super) struct Place {
    pub(super) clock: Clock,
    folder: TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        Self {
            clock: Clock::still(Timestamp::now()),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("app.db")
    }

    /// Another channel object on the file: with a writer, connections and consumers of its own.
    pub(super) fn open(&self) -> EventChannel {
        self.open_with(|_| ())
    }

    pub(super) fn open_with(&self, change: impl FnOnce(&mut SqliteConfig)) -> EventChannel {
        let mut config = SqliteConfig::file(self.file());
        config.clock = self.clock.clone();
        config.queue.lease = LEASE;
        config.queue.poll_interval = Duration::from_millis(50);
        change(&mut config);
        let backend = events_queue_sqlite::open(config, &Handle::current()).unwrap();
        EventChannel::new(Arc::new(backend))
    }
}

/// A stream that holds no more than it has handed over.
pub(super) async fn one_by_one(channel: &EventChannel) -> Events {
    let options = IterOptions::new().prefetch(1);
    channel.iter_events_with("orders", options).await.unwrap()
}

pub(super) async fn stats(channel: &EventChannel) -> GroupStats {
    channel.stats("orders").await.unwrap().total()
}

/// Takes and acknowledges as many events with a new consumer, which is given no more than those.
pub(super) async fn drain(channel: &EventChannel, count: usize) -> Vec<EventMessage> {
    let mut events = channel.iter_events("orders").await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..count {
        let message = next(&mut events).await;
        assert_eq!(channel.ack(&message).await.unwrap(), Settled::Recorded);
        seen.push(message);
    }
    nothing_within(&mut events, REST).await;
    seen
}
