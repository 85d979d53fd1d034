//! Guarantee 12: shutdown stops claiming, lets handlers finish until the deadline, and gives back the
//! rest without counting an attempt.

use std::time::{Duration, Instant};

use event_channels::{ErrorKind, EventChannel, EventMessage, EventsConfig, ListenOptions};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

const EVENTS: u64 = 10;
const HANDS: u64 = 2;
/// Nothing comes back by itself while a test runs.
const LONG: Duration = Duration::from_secs(3600);

struct Draining {
    channel: EventChannel,
    other: EventChannel,
    handled: mpsc::UnboundedReceiver<u64>,
    open: watch::Sender<bool>,
    _folder: TempDir,
}

/// A listener with two handlers that wait until they may end, and events claimed ahead; another
/// channel object on the file sees what is stored.
async fn draining(deadline: Duration) -> Draining {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("app.db").display());
    let config = EventsConfig::new(url)
        .unwrap()
        .lease(LONG)
        .poll_interval(Duration::from_millis(20));
    let other = config.clone().open().await.unwrap();
    for n in 0..EVENTS {
        other.publish("orders", n).await.unwrap();
    }
    let channel = config.drain_deadline(deadline).open().await.unwrap();
    let (tell, mut handled) = mpsc::unbounded_channel();
    let (open, gate) = watch::channel(false);
    let handler = move |message: EventMessage| {
        let (tell, mut gate) = (tell.clone(), gate.clone());
        async move {
            tell.send(message.payload.as_u64().unwrap()).unwrap();
            gate.wait_for(|open| *open).await?;
            Ok(())
        }
    };
    let options = ListenOptions::new().concurrency(2).prefetch(6);
    let _ = channel.listen("orders", options, handler).await.unwrap();
    // They run on several threads, so either may tell first.
    for _ in 0..HANDS {
        assert!(handled.recv().await.unwrap() < HANDS);
    }
    Draining {
        channel,
        other,
        handled,
        open,
        _folder: folder,
    }
}

impl Draining {
    /// Starts the shutdown; it has begun when this returns.
    async fn begin(
        &self,
    ) -> tokio::task::JoinHandle<event_channels::Result<event_channels::Drained>> {
        let channel = self.channel.clone();
        let shutdown = tokio::spawn(async move { channel.shutdown().await });
        // From then on nobody can begin to consume.
        while self.channel.iter_events("mail").await.is_ok() {
            tokio::task::yield_now().await;
        }
        shutdown
    }

    /// So many were acknowledged, no more than the handlers in hand have run, and all others are
    /// delivered at once, as their first attempt.
    async fn over(mut self, acked: u64) {
        let late = self.channel.publish("orders", 0).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Closed);
        assert_eq!(self.handled.recv().await, None, "a handler was started");
        let stats = self.other.stats("orders").await.unwrap().total();
        assert_eq!((stats.acked, stats.leased), (acked, 0), "{stats:?}");
        let mut events = self.other.iter_events("orders").await.unwrap();
        for n in acked..=EVENTS {
            let message = events_testkit::next(&mut events).await;
            assert_eq!((message.payload, message.attempts), (n.into(), 1));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g12_shutdown_lets_handlers_finish_and_gives_back_the_rest_uncounted() {
    let draining = draining(LONG).await;
    let shutdown = draining.begin().await;
    draining.other.publish("orders", EVENTS).await.unwrap();
    assert!(!shutdown.is_finished(), "it waits for the handlers");
    draining.open.send(true).unwrap();
    let drained = shutdown.await.unwrap().unwrap();
    assert_eq!(
        (drained.listeners, drained.finished, drained.released),
        (1, HANDS, 0)
    );
    draining.over(HANDS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g12_shutdown_gives_back_what_is_not_finished_by_the_deadline() {
    let deadline = Duration::from_millis(200);
    let draining = draining(deadline).await;
    let start = Instant::now();
    let shutdown = draining.begin().await;
    draining.other.publish("orders", EVENTS).await.unwrap();
    let drained = shutdown.await.unwrap().unwrap();
    assert!(start.elapsed() >= deadline, "{:?}", start.elapsed());
    assert_eq!(
        (drained.listeners, drained.finished, drained.released),
        (1, 0, HANDS)
    );
    draining.over(0).await;
}
