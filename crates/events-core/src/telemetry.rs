//! Every metric of the library: its name, its labels, and the only place that emits it.
//!
//! Counters are kept in our own atomics, which a snapshot reads, and mirrored to the `metrics`
//! facade. Install a recorder before the first channel is opened.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};

use crate::{ChannelName, GroupName};

/// More channels than this share the label `other`, so that names cannot flood a metrics store.
const MAX_CHANNEL_LABELS: usize = 256;

macro_rules! counts {
    ($(#[doc = $doc:literal] $variant:ident = $name:literal,)*) => {
        /// A counter.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Count {
            $(#[doc = $doc] $variant,)*
        }

        impl Count {
            const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name under which it is emitted and shown in a snapshot.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it counts, as the documentation says it.
            #[cfg(test)]
            const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $doc,)*
                }
            }
        }
    };
}

counts! {
    /// Events stored by a queue backend.
    Publish = "events.publish",
    /// Events sent by a native backend.
    PublishNative = "events.publish.native",
    /// Publishes that stored nothing because the caller's id was known.
    PublishRepeated = "events.publish.repeated",
    /// Events handed to a consumer.
    Deliver = "events.deliver",
    /// Recorded acknowledgements.
    Ack = "events.ack",
    /// Recorded negative acknowledgements.
    Nack = "events.nack",
    /// Events that became dead letters.
    Dead = "events.dead",
    /// Events that expired before they were delivered.
    Expired = "events.expired",
    /// Verdicts that came after another claim.
    HoldLost = "events.hold.lost",
    /// Verdicts of listeners that could not be recorded; their events come back.
    SettleError = "events.settle.error",
    /// Looks at the database for new events.
    Poll = "events.poll.query",
    /// Looks that found nothing.
    PollEmpty = "events.poll.empty",
    /// Looks that failed.
    DequeueError = "events.dequeue.error",
    /// Handlers that returned an error or panicked.
    HandlerError = "events.handler.error",
    /// Listeners started.
    ListenerStart = "events.listener.start",
    /// Listeners stopped.
    ListenerStop = "events.listener.stop",
    /// Listening connections that were replaced.
    ListenerReconnect = "events.listener.reconnect",
    /// Waits that a wake-up ended.
    ListenerWakeup = "events.listener.wakeup",
    /// Waits that the poll interval ended.
    ListenerTimeout = "events.listener.timeout",
    /// Listening connections made.
    ListenerAcquire = "events.listener.acquire",
    /// Listening connections that went live: every subscription on them is confirmed.
    ListenerReady = "events.listener.ready",
    /// Listening connections lost or given up.
    ListenerRelease = "events.listener.release",
    /// Gaps handed to consumers.
    ListenerGap = "events.listener.gap",
    /// Notifications that carry no event, and were passed over.
    ListenerForeign = "events.listener.foreign",
    /// Events dropped because a transient consumer was too slow.
    ListenerDropped = "events.listener.queue.dropped",
    /// Channels that use the queue because the wanted backend is not available.
    Fallback = "events.fallback",
    /// Channels shut down.
    Shutdown = "events.shutdown",
}

macro_rules! measures {
    ($($kind:ident $constant:ident = $name:literal, $doc:literal;)*) => {
        $(const $constant: &str = $name;)*

        /// Kind, name and meaning of everything that is no counter.
        #[cfg(test)]
        const MEASURES: &[(&str, &str, &str)] = &[$((stringify!($kind), $name, $doc),)*];
    };
}

measures! {
    histogram PUBLISH_SECONDS = "events.publish.seconds", "How long a publishing call took.";
    histogram LAG_SECONDS = "events.lag.seconds", "From the moment an event could be delivered to its delivery.";
    histogram HANDLER_SECONDS = "events.handler.seconds", "How long a handler took.";
    histogram BATCH_SIZE = "events.batch.size", "How many events a claim brought.";
    histogram STATEMENT_SECONDS = "events.statement.seconds", "How long a statement took; labels `backend` and `op`.";
    gauge DEPTH = "events.depth", "Ready events of a channel, when they were last counted.";
    gauge OLDEST_AGE = "events.oldest_age.seconds", "Age of the oldest ready event, when they were last counted.";
    gauge IN_FLIGHT = "events.in_flight", "Events that handlers are working on.";
    gauge QUEUE_DEPTH = "events.listener.queue.depth", "Transient events that wait for their consumers.";
    gauge CLAIM_TIME = "events.claim.timestamp.seconds", "When the database was last asked for events, in seconds since 1970.";
    gauge POLL_INTERVAL = "events.poll.interval", "The longest wait between two looks at the database, in seconds, of the channel that was opened last.";
    counter BACKEND_RESOLVED = "events.backend.resolved", "Channels opened, by `backend`.";
}

/// In snapshots only: a gauge cannot grow by itself.
const CLAIM_AGE: &str = "events.claim.age.seconds";

/// The counters of all channels that share a configuration name.
pub struct Telemetry {
    name: String,
    counts: Vec<AtomicU64>,
    in_flight: AtomicU64,
    queued: AtomicU64,
    resolved: Mutex<BTreeMap<&'static str, u64>>,
    last_claim: Mutex<Option<Instant>>,
    poll_interval: Mutex<Option<Duration>>,
    labels: RwLock<HashMap<ChannelName, ()>>,
}

static ALL: LazyLock<Mutex<BTreeMap<String, Arc<Telemetry>>>> = LazyLock::new(Mutex::default);

impl Telemetry {
    /// The counters of this configuration name; made at the first call, shared afterwards.
    #[must_use]
    pub fn named(name: &str) -> Arc<Self> {
        let mut all = lock(&ALL);
        let telemetry = all.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(Self {
                name: name.to_owned(),
                counts: Count::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
                in_flight: AtomicU64::new(0),
                queued: AtomicU64::new(0),
                resolved: Mutex::default(),
                last_claim: Mutex::default(),
                poll_interval: Mutex::default(),
                labels: RwLock::default(),
            })
        });
        Arc::clone(telemetry)
    }

    /// The present value of a counter.
    #[must_use]
    pub fn get(&self, count: Count) -> u64 {
        self.counts[count as usize].load(Ordering::Relaxed)
    }

    /// The counters of a backend that concern no single channel.
    #[must_use]
    pub fn backend(self: &Arc<Self>, backend: &'static str) -> Meter {
        Meter::new(self, vec![Label::new("backend", backend)])
    }

    /// The counters of a channel, and of a group where one is meant.
    #[must_use]
    pub fn channel(
        self: &Arc<Self>,
        backend: &'static str,
        channel: &ChannelName,
        group: Option<&GroupName>,
    ) -> Meter {
        let mut labels = vec![
            Label::new("backend", backend),
            Label::new("channel", self.label(channel)),
        ];
        if let Some(group) = group {
            labels.push(Label::new("group", group.as_str().to_owned()));
        }
        Meter::new(self, labels)
    }

    fn label(&self, channel: &ChannelName) -> String {
        let known = self
            .labels
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(channel);
        if !known {
            let mut labels = self.labels.write().unwrap_or_else(PoisonError::into_inner);
            if labels.len() >= MAX_CHANNEL_LABELS {
                return "other".to_owned();
            }
            labels.insert(channel.clone(), ());
        }
        channel.as_str().to_owned()
    }

    /// Notes which backend a channel got, and how long it waits between two looks at most.
    pub fn backend_resolved(&self, backend: &'static str, poll_interval: Duration) {
        *lock(&self.resolved).entry(backend).or_default() += 1;
        counter!(BACKEND_RESOLVED, "backend" => backend).increment(1);
        *lock(&self.poll_interval) = Some(poll_interval);
        gauge!(POLL_INTERVAL, "backend" => backend).set(poll_interval.as_secs_f64());
    }

    /// Notes that the database was asked for events just now.
    pub fn claimed_now(&self) {
        *lock(&self.last_claim) = Some(Instant::now());
    }

    /// All values by name, prefixed with the configuration's name.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<String, f64> {
        let mut values = BTreeMap::new();
        let mut put = |key: &str, value: f64| {
            values.insert(format!("{}.{key}", self.name), value);
        };
        for count in Count::ALL {
            put(count.name(), to_f64(self.get(*count)));
        }
        put(IN_FLIGHT, to_f64(self.in_flight.load(Ordering::Relaxed)));
        put(QUEUE_DEPTH, to_f64(self.queued.load(Ordering::Relaxed)));
        for (backend, count) in lock(&self.resolved).iter() {
            put(
                &format!("events.backend.{backend}.resolved"),
                to_f64(*count),
            );
        }
        if let Some(at) = *lock(&self.last_claim) {
            put(CLAIM_AGE, at.elapsed().as_secs_f64());
        }
        if let Some(interval) = *lock(&self.poll_interval) {
            put(POLL_INTERVAL, interval.as_secs_f64());
        }
        values
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The values of every channel of this process.
#[must_use]
pub fn snapshot() -> BTreeMap<String, f64> {
    let all: Vec<_> = lock(&ALL).values().cloned().collect();
    all.iter()
        .flat_map(|telemetry| telemetry.snapshot())
        .collect()
}

/// Prepared counters, histograms and gauges for one set of labels; cheap to use.
pub struct Meter {
    telemetry: Arc<Telemetry>,
    counters: Vec<Counter>,
    publish_seconds: Histogram,
    batch_size: Histogram,
    lag_seconds: Histogram,
    handler_seconds: Histogram,
    depth: Gauge,
    oldest_age: Gauge,
    in_flight: Gauge,
    queued: Gauge,
    claim_time: Gauge,
}

impl Meter {
    fn new(telemetry: &Arc<Telemetry>, labels: Vec<Label>) -> Self {
        Self {
            telemetry: Arc::clone(telemetry),
            counters: Count::ALL
                .iter()
                .map(|count| counter!(count.name(), labels.clone()))
                .collect(),
            publish_seconds: histogram!(PUBLISH_SECONDS, labels.clone()),
            batch_size: histogram!(BATCH_SIZE, labels.clone()),
            lag_seconds: histogram!(LAG_SECONDS, labels.clone()),
            handler_seconds: histogram!(HANDLER_SECONDS, labels.clone()),
            depth: gauge!(DEPTH, labels.clone()),
            oldest_age: gauge!(OLDEST_AGE, labels.clone()),
            in_flight: gauge!(IN_FLIGHT, labels.clone()),
            queued: gauge!(QUEUE_DEPTH, labels.clone()),
            claim_time: gauge!(CLAIM_TIME, labels),
        }
    }

    /// Adds to a counter.
    pub fn add(&self, count: Count, by: u64) {
        if by > 0 {
            self.telemetry.counts[count as usize].fetch_add(by, Ordering::Relaxed);
            self.counters[count as usize].increment(by);
        }
    }

    /// One publishing call took this long.
    pub fn publish_took(&self, time: Duration) {
        self.publish_seconds.record(time);
    }

    /// A statement carried this many events.
    pub fn batch(&self, events: usize) {
        self.batch_size.record(to_f64(events as u64));
    }

    /// An event was handed over this long after it was published.
    pub fn delivered(&self, lag: Duration) {
        self.add(Count::Deliver, 1);
        self.lag_seconds.record(lag);
    }

    /// A handler took this long.
    pub fn handler_took(&self, time: Duration) {
        self.handler_seconds.record(time);
    }

    /// The database was asked for events, and gave this many.
    pub fn claimed(&self, events: usize) {
        self.add(Count::Poll, 1);
        self.telemetry.claimed_now();
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.claim_time
            .set(since_1970.unwrap_or_default().as_secs_f64());
        if events == 0 {
            self.add(Count::PollEmpty, 1);
        } else {
            self.batch(events);
        }
    }

    /// One event more is held by a handler.
    pub fn handling_started(&self) {
        self.telemetry.in_flight.fetch_add(1, Ordering::Relaxed);
        self.in_flight.increment(1.0);
    }

    /// One event fewer is held by a handler.
    pub fn handling_ended(&self) {
        self.telemetry.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.in_flight.decrement(1.0);
    }

    /// One transient event more waits for its consumer.
    pub fn queued(&self) {
        self.telemetry.queued.fetch_add(1, Ordering::Relaxed);
        self.queued.increment(1.0);
    }

    /// So many transient events fewer wait for their consumer.
    pub fn unqueued(&self, events: usize) {
        let events = events as u64;
        self.telemetry.queued.fetch_sub(events, Ordering::Relaxed);
        self.queued.decrement(to_f64(events));
    }

    /// What a count of the stored events showed.
    pub fn depth(&self, ready: u64, oldest: Option<Duration>) {
        self.depth.set(to_f64(ready));
        self.oldest_age
            .set(oldest.unwrap_or_default().as_secs_f64());
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("telemetry", &self.telemetry)
            .finish_non_exhaustive()
    }
}

/// How long the statements of a database take; one histogram for each operation.
pub struct StatementTimes {
    backend: &'static str,
    by_op: Vec<(&'static str, Histogram)>,
}

impl StatementTimes {
    /// Those of a backend.
    #[must_use]
    pub const fn new(backend: &'static str) -> Self {
        Self {
            backend,
            by_op: Vec::new(),
        }
    }

    /// Notes how long the statements of an operation took.
    pub fn took(&mut self, op: &'static str, time: Duration) {
        if let Some((_, known)) = self.by_op.iter().find(|(known, _)| *known == op) {
            return known.record(time);
        }
        let new = histogram!(STATEMENT_SECONDS, "backend" => self.backend, "op" => op);
        new.record(time);
        self.by_op.push((op, new));
    }
}

impl fmt::Debug for StatementTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatementTimes")
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a metric above 2^53 may lose its last digit"
)]
fn to_f64(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_one_name_share_counters() {
        let channel = ChannelName::new("orders").unwrap();
        let first = Telemetry::named("telemetry_test").channel("poll_queue", &channel, None);
        let second = Telemetry::named("telemetry_test").channel("poll_queue", &channel, None);
        first.add(Count::Publish, 2);
        second.add(Count::Publish, 1);
        assert_eq!(snapshot()["telemetry_test.events.publish"], 3.0);
        assert_eq!(Telemetry::named("telemetry_other").get(Count::Publish), 0);
    }

    #[test]
    fn channel_labels_are_bounded() {
        let telemetry = Telemetry::named("telemetry_labels");
        for n in 0..MAX_CHANNEL_LABELS {
            let name = ChannelName::new(format!("c{n}")).unwrap();
            assert_eq!(telemetry.label(&name), name.as_str());
        }
        assert_eq!(
            telemetry.label(&ChannelName::new("one_more").unwrap()),
            "other"
        );
        assert_eq!(telemetry.label(&ChannelName::new("c0").unwrap()), "c0");
    }

    fn table() -> String {
        let mut table = String::from("| Metric | Kind | Meaning |\n| --- | --- | --- |\n");
        for count in Count::ALL {
            let meaning = count.meaning().trim();
            table += &format!("| `{}` | counter | {meaning} |\n", count.name());
        }
        for (kind, name, meaning) in MEASURES {
            table += &format!("| `{name}` | {kind} | {meaning} |\n");
        }
        table
    }

    /// `UPDATE_DOCS=1 cargo test -p events-core documentation` writes the table.
    #[test]
    fn the_documentation_lists_every_metric() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/telemetry.md");
        let text = std::fs::read_to_string(page).unwrap();
        let (before, rest) = text.split_once("<!-- metrics -->\n").unwrap();
        let (shown, after) = rest.split_once("<!-- /metrics -->").unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let updated = format!(
                "{before}<!-- metrics -->\n{}<!-- /metrics -->{after}",
                table()
            );
            return std::fs::write(page, updated).unwrap();
        }
        assert_eq!(
            shown,
            table(),
            "run with UPDATE_DOCS=1 to update docs/src/telemetry.md"
        );
    }
}
