//! The server crashes under load, again and again: nothing that a publisher was told to be stored
//! is lost, and what is delivered twice has a cause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use event_channels::{EventChannel, EventsConfig, IterOptions, NewEvent};
use events_testkit::history::{
    Expect, History, Lines, Moment, Record, Recorder, Row, Sent, State, Verdict, What, hash,
};
use events_testkit::postgres::{Server, ServerOptions, Stop, query};
use serde_json::{Value, json};

const CHANNEL: &str = "orders";
const LEASE: Duration = Duration::from_millis(800);
/// Between two tries while the server is down.
const PAUSE: Duration = Duration::from_millis(10);

struct Load {
    channel: EventChannel,
    recorder: Recorder,
    next: AtomicU64,
    publishing: AtomicBool,
    consuming: AtomicBool,
}

impl Load {
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
                tokio::time::sleep(PAUSE).await; // the server is down
            }
        }
    }

    /// Consumes until it is told to stop, and subscribes again after an error that ends a stream.
    async fn consume(self: Arc<Self>, consumer: u32) {
        while self.consuming.load(Ordering::SeqCst) {
            let options = IterOptions::new().prefetch(20);
            let Ok(mut events) = self.channel.iter_events_with(CHANNEL, options).await else {
                tokio::time::sleep(PAUSE).await; // the server is down
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
}

/// What the tables hold at last.
fn rows(url: &str) -> Vec<Row> {
    let stored = query(
        url,
        "SELECT event_id, attempts, payload, 'acked' FROM sqlspec_event_queue_done
          UNION ALL SELECT event_id, attempts, payload, 'ready' FROM sqlspec_event_queue
          UNION ALL SELECT event_id, attempts, payload, 'delayed' FROM sqlspec_event_queue_delayed
          UNION ALL SELECT event_id, attempts, payload, 'dead' FROM sqlspec_event_queue_dead",
    );
    let row = |columns: Vec<Option<String>>| {
        let text = |at: usize| columns[at].as_deref().unwrap_or_default();
        let payload: Value = text(2).parse().unwrap();
        Row {
            event: text(0).parse().unwrap(),
            channel: CHANNEL.to_owned(),
            group: None,
            state: match text(3) {
                "acked" => State::Acked,
                "ready" => State::Ready,
                "delayed" => State::Delayed,
                _ => State::Exhausted,
            },
            attempts: text(1).parse().unwrap(),
            fence: None,
            payload: hash(&payload),
        }
    };
    stored.into_iter().map(row).collect()
}

fn crash(cycles: u32) {
    let server = match Server::start(&ServerOptions::new()) {
        Ok(server) => server,
        Err(missing) => return missing.skip("postgres_crash"),
    };
    let url = server.database();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (lines, losses) = (Lines::default(), Lines::default());
    let channel = runtime
        .block_on(async {
            EventsConfig::new(&url)?
                .backend(event_channels::BackendKind::PollQueue)
                .auto_migrate(true)
                .lease(LEASE)
                .poll_interval(Duration::from_millis(50))
                .max_attempts(1000)
                .open()
                .await
        })
        .unwrap();
    let load = Arc::new(Load {
        channel,
        recorder: Recorder::new("load", lines.clone()),
        next: AtomicU64::new(0),
        publishing: AtomicBool::new(true),
        consuming: AtomicBool::new(true),
    });
    let publishers: Vec<_> = (0..2)
        .map(|_| runtime.spawn(Arc::clone(&load).publish()))
        .collect();
    let consumers: Vec<_> = (0..2)
        .map(|consumer| runtime.spawn(Arc::clone(&load).consume(consumer)))
        .collect();
    for _ in 0..cycles {
        // Work goes on until the server is stopped: a crash hits whatever is under way.
        let published = load.next.load(Ordering::SeqCst);
        while load.next.load(Ordering::SeqCst) < published + 60 {
            std::thread::yield_now();
        }
        lose_power(&losses);
        server.stop(Stop::Immediate);
        server.start_again();
        lose_power(&losses);
    }
    load.publishing.store(false, Ordering::SeqCst);
    runtime.block_on(async {
        for publisher in publishers {
            publisher.await.unwrap();
        }
        while unsettled(&load.channel).await {
            tokio::time::sleep(PAUSE).await; // leases of lost claims have to end
        }
        load.consuming.store(false, Ordering::SeqCst);
        load.channel.shutdown().await.unwrap();
        for consumer in consumers {
            consumer.await.unwrap();
        }
    });
    load.recorder.rows(rows(&url));
    load.recorder.ended();
    let mut history = History::default();
    history.add_lines(&lines.bytes());
    history.add_lines(&losses.bytes());
    let report = history.check(
        &Expect::new()
            .max_attempts(1000)
            .in_order(false)
            .relaxed_acks(true),
    );
    report.assert_clean("crashes of the server");
    assert!(load.next.load(Ordering::SeqCst) > u64::from(cycles) * 60);
}

/// A crash of the server is a loss of power for the events whose commit was not flushed.
fn lose_power(lines: &Lines) {
    let record = Record::new(Moment::now(), "server", What::PowerLost);
    let mut line = serde_json::to_vec(&record).unwrap();
    line.push(b'\n');
    std::io::Write::write_all(&mut lines.clone(), &line).unwrap();
}

async fn unsettled(channel: &EventChannel) -> bool {
    let stats = channel.stats(CHANNEL).await.unwrap();
    let total = stats.total();
    total.ready + total.leased + total.delayed > 0
}

#[test]
fn twenty_crashes_lose_nothing() {
    crash(20);
}

#[test]
fn a_thousand_crashes_lose_nothing() {
    if events_testkit::long("a_thousand_crashes_lose_nothing") {
        crash(1000);
    }
}
