//! Publishers and consumers on a queue on PostgreSQL, to which a test then does something.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use event_channels::{BackendKind, EventChannel, EventsConfig, IterOptions, NewEvent};
use events_testkit::history::{Expect, History, Lines, Recorder, Report, Sent, Verdict};
use events_testkit::postgres::rows_at_rest;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

const CHANNEL: &str = "orders";
pub(crate) const LEASE: Duration = Duration::from_millis(800);
/// Between two tries while the server is away.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);
const MAX_ATTEMPTS: u32 = 1000;
/// Whatever is left when publishers have ended is handled by then.
const REST: Duration = Duration::from_secs(120);

/// Two publishers and two consumers that go on whatever happens.
pub(crate) struct Running {
    pub(crate) load: Arc<Load>,
    runtime: Runtime,
    publishers: Vec<JoinHandle<()>>,
    consumers: Vec<JoinHandle<()>>,
    pub(crate) lines: Lines,
}

pub(crate) struct Load {
    channel: EventChannel,
    recorder: Recorder,
    next: AtomicU64,
    publishing: AtomicBool,
    consuming: AtomicBool,
}

impl Load {
    /// How many events were published, or tried to be.
    pub(crate) fn published(&self) -> u64 {
        self.next.load(Ordering::SeqCst)
    }

    /// Lets so many more be published.
    pub(crate) fn go_on_for(&self, events: u64) {
        let before = self.published();
        while self.published() < before + events {
            std::thread::yield_now();
        }
    }

    async fn publish(self: Arc<Self>) {
        while self.publishing.load(Ordering::SeqCst) {
            let payloads: Vec<Value> = (0..3)
                .map(|_| json!(self.next.fetch_add(1, Ordering::SeqCst)))
                .collect();
            let sent = payloads.iter().map(Sent::new).collect();
            let events: Vec<NewEvent> = payloads
                .iter()
                .map(|payload| NewEvent::new(CHANNEL, payload))
                .collect();
            let call = self.recorder.publishing(CHANNEL, sent);
            let answer = self.channel.publish_many(events).await;
            self.recorder.published(call, &answer);
            if answer.is_err() {
                tokio::time::sleep(PAUSE).await; // the server is away
            }
        }
    }

    /// Consumes until it is told to stop, and subscribes again after an error that ends a stream.
    async fn consume(self: Arc<Self>, consumer: u32) {
        while self.consuming.load(Ordering::SeqCst) {
            let options = IterOptions::new().prefetch(20);
            let Ok(mut events) = self.channel.iter_events_with(CHANNEL, options).await else {
                tokio::time::sleep(PAUSE).await; // the server is away
                continue;
            };
            while self.consuming.load(Ordering::SeqCst) {
                let call = self.recorder.receiving(consumer, CHANNEL, None);
                let answer = events.next().await;
                let held = self.recorder.received(call, answer.as_ref());
                match answer {
                    Some(Ok(message)) => {
                        let call = self.recorder.settling(held, Verdict::Ack);
                        let answer = self.channel.ack(&message).await;
                        self.recorder.settled(call, &answer);
                    }
                    Some(Err(error)) if error.stream_continues() => {}
                    Some(Err(_)) | None => break,
                }
            }
        }
    }

    /// Whether something could still be delivered, or that cannot be known yet.
    async fn is_unsettled(&self) -> bool {
        match self.channel.stats(CHANNEL).await {
            Ok(stats) => {
                let total = stats.total();
                total.ready + total.leased + total.delayed > 0
            }
            Err(_) => true,
        }
    }
}

impl Running {
    /// Begins on a database; `change` sets further options.
    pub(crate) fn start(url: &str, change: impl FnOnce(EventsConfig) -> EventsConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let config = EventsConfig::new(url)
            .unwrap()
            .backend(BackendKind::PollQueue)
            .auto_migrate(true)
            .lease(LEASE)
            .poll_interval(Duration::from_millis(50))
            .max_attempts(MAX_ATTEMPTS);
        let channel = runtime.block_on(change(config).open()).unwrap();
        let lines = Lines::default();
        let load = Arc::new(Load {
            channel,
            recorder: Recorder::new("load", lines.clone()),
            next: AtomicU64::new(0),
            publishing: AtomicBool::new(true),
            consuming: AtomicBool::new(true),
        });
        let publishers = (0..2).map(|_| runtime.spawn(Arc::clone(&load).publish()));
        let publishers = publishers.collect();
        let consumers = (0..2).map(|consumer| runtime.spawn(Arc::clone(&load).consume(consumer)));
        let consumers = consumers.collect();
        Self {
            load,
            runtime,
            publishers,
            consumers,
            lines,
        }
    }

    /// Ends the publishers, lets everything be handled, and checks the history. `url` leads to the
    /// server itself; `losses` tells of what it may have forgotten.
    pub(crate) fn finish(self, url: &str, losses: &Lines, context: &str) -> Report {
        let load = self.load;
        load.publishing.store(false, Ordering::SeqCst);
        self.runtime.block_on(async {
            for publisher in self.publishers {
                publisher.await.unwrap();
            }
            let begun = Instant::now();
            while load.is_unsettled().await {
                assert!(
                    begun.elapsed() < REST,
                    "{context}: what is left is not handled: {:?}",
                    load.channel.stats(CHANNEL).await
                );
                tokio::time::sleep(PAUSE).await; // leases of lost claims have to end
            }
            load.consuming.store(false, Ordering::SeqCst);
            load.channel.shutdown().await.unwrap();
            for consumer in self.consumers {
                consumer.await.unwrap();
            }
        });
        load.recorder.rows(rows_at_rest(url));
        load.recorder.ended();
        let mut history = History::default();
        history.add_lines(&self.lines.bytes());
        history.add_lines(&losses.bytes());
        let expect = Expect::new().max_attempts(MAX_ATTEMPTS).in_order(false);
        let report = history.check(&expect.relaxed_acks(true));
        report.assert_clean(context);
        report
    }
}
