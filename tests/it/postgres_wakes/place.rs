//! A database, channels on it, and consumers that tasks drive.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_channels::postgres::tokio_postgres;
use event_channels::{BackendKind, EventChannel, EventMessage, Events, EventsConfig, IterOptions};
use events_testkit::Missing;
use events_testkit::postgres::{Database, database};
use tokio::sync::{Semaphore, mpsc};
use tokio_postgres::NoTls;

pub(super) const NEVER: Duration = Duration::from_secs(60);
/// Longer than a busy machine keeps a task waiting, and shorter than what is left until a consumer
/// looks by itself when [`Place::until_told`] returns.
pub(super) const SOON: Duration = Duration::from_secs(5);
/// Nothing that must happen takes longer.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

pub(super) struct Place {
    pub(super) database: Database,
}

impl Place {
    fn new() -> Result<Self, Missing> {
        Ok(Self {
            database: database()?,
        })
    }

    pub(super) fn config(&self) -> EventsConfig {
        EventsConfig::new(self.database.url())
            .unwrap()
            .backend(BackendKind::NotifyQueue)
            .auto_migrate(true)
            .poll_interval(NEVER)
    }

    pub(super) async fn open(&self) -> EventChannel {
        let channel = self.config().open().await.unwrap();
        assert_eq!(channel.backend_name(), "notify_queue");
        channel
    }

    /// How many processes wait now.
    pub(super) fn waiting(&self) -> usize {
        self.rows("until > now()")
    }

    fn rows(&self, which: &str) -> usize {
        let sql = format!("SELECT 1 FROM sqlspec_event_queue_waiter WHERE {which}");
        self.database.query(&sql).len()
    }

    async fn until(&self, what: &str, which: &str) {
        let begun = Instant::now();
        while self.rows(which) == 0 {
            assert!(begun.elapsed() < LIMIT, "{what}");
            tokio::time::sleep(Duration::from_millis(20)).await; // between two looks
        }
    }

    /// Until a consumer waits for a wake-up, and looks a few times more by itself.
    pub(super) async fn until_waiting(&self) {
        self.until("no consumer waits", "until > now()").await;
    }

    /// Until only a wake-up helps: the looks that follow the beginning of a wait are over after
    /// 4 s, and the row is made to last longer, with another look, when 10 s of its 30 s are left.
    pub(super) async fn until_told(&self) {
        let which = "until BETWEEN now() + interval '17 s' AND now() + interval '25 s'";
        self.until("no consumer waits for a wake-up only", which)
            .await;
    }

    pub(super) async fn driver(&self) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(self.database.url(), NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        client
    }
}

/// A consumer that a task drives, as those of programs are.
pub(super) struct Consumer {
    given: mpsc::UnboundedReceiver<EventMessage>,
    task: tokio::task::JoinHandle<()>,
}

impl Consumer {
    /// Takes and acknowledges whatever comes.
    pub(super) async fn of(channel: &EventChannel) -> Self {
        let events = channel.iter_events("orders").await.unwrap();
        Self::take(channel, events, None)
    }

    /// Is busy with each event until the gate has a permit for it.
    pub(super) async fn gated(channel: &EventChannel, gate: &Arc<Semaphore>) -> Self {
        let options = IterOptions::new().prefetch(10);
        let events = channel.iter_events_with("orders", options).await.unwrap();
        Self::take(channel, events, Some(Arc::clone(gate)))
    }

    fn take(channel: &EventChannel, mut events: Events, gate: Option<Arc<Semaphore>>) -> Self {
        let (give, given) = mpsc::unbounded_channel();
        let channel = channel.clone();
        let task = tokio::spawn(async move {
            while let Some(message) = events.next().await {
                // An error is told once, and the next call goes on.
                let Ok(message) = message else { continue };
                give.send(message.clone()).unwrap();
                if let Some(gate) = &gate {
                    gate.acquire().await.unwrap().forget();
                }
                channel.ack(&message).await.unwrap();
            }
        });
        Self { given, task }
    }

    /// Stops for good, as when it is busy for ever.
    pub(super) async fn end(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// The next event, which must come this soon.
    pub(super) async fn next(&mut self, what: &str, within: Duration) -> EventMessage {
        match tokio::time::timeout(within, self.given.recv()).await {
            Ok(Some(message)) => message,
            other => panic!("{what} does not come within {within:?}: {other:?}"),
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn run(test: &str, body: impl AsyncFnOnce(Place)) {
    match Place::new() {
        Ok(place) => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
            .block_on(body(place)),
        Err(missing) => missing.skip(test),
    }
}
