//! Clocks that jump by an hour, stand still, or run a hundred times too fast, under two channels that
//! share a file and are at work.
//!
//! Guarantee 16: that repeats or delays events, and loses none. While both channels see the step,
//! holders renew in time and nothing is even repeated.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use event_channels::{
    ErrorKind, EventChannel, EventMessage, GroupStats, PublishOptions, Timestamp,
};
use events_queue::Clock;
use events_queue_sqlite::{SqliteConfig, open};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::peer::PATIENCE;

const HOUR: Duration = Duration::from_secs(3600);
/// A step of more than half of it is a jump; it is renewed after a third of it.
const LEASE: Duration = Duration::from_secs(4);
const POLL: Duration = Duration::from_millis(50);
const EVENTS: u64 = 240;

/// A channel and its clock.
struct Host {
    channel: EventChannel,
    clock: Clock,
}

impl Host {
    fn new(file: &Path) -> Self {
        let clock = Clock::system();
        let mut config = SqliteConfig::file(file);
        config.clock = clock.clone();
        config.queue.lease = LEASE;
        config.queue.poll_interval = POLL;
        // Leases that end early count as attempts.
        config.queue.max_attempts = 10_000;
        let backend = open(config, &Handle::current()).unwrap();
        Self {
            channel: EventChannel::new(Arc::new(backend)),
            clock,
        }
    }

    fn step(&self, ahead: bool, by: Duration) {
        let now = self.clock.now();
        self.clock.set(if ahead { now + by } else { now - by });
    }

    async fn stats(&self) -> GroupStats {
        self.channel.stats("orders").await.unwrap().total()
    }
}

/// What a consumer was given, by the clock of its host.
#[derive(Debug, Clone)]
struct Delivery {
    host: usize,
    attempts: u32,
    at: Timestamp,
    lease: Timestamp,
}

type Deliveries = Arc<Mutex<BTreeMap<u64, Vec<Delivery>>>>;

/// Takes events and handles each in a task, until the channel is closed.
async fn consume(number: usize, hosts: Arc<[Host; 2]>, deliveries: Deliveries) {
    let mut events = hosts[number].channel.iter_events("orders").await.unwrap();
    let mut tasks = JoinSet::new();
    while let Some(message) = events.next().await {
        let message = message.unwrap();
        let n = message.payload.as_u64().unwrap();
        let delivery = Delivery {
            host: number,
            attempts: message.attempts,
            at: hosts[number].clock.now(),
            lease: message.lease_expires_at.unwrap(),
        };
        let mut all = deliveries.lock().unwrap();
        let mine = all.entry(n).or_default();
        let long = n % 40 == 7 && mine.is_empty();
        mine.push(delivery);
        drop(all);
        let channel = hosts[number].channel.clone();
        tasks.spawn(async move { handle(&channel, &message, long).await });
    }
    while let Some(handled) = tasks.join_next().await {
        handled.unwrap();
    }
}

/// Some take longer than a lease, and extend it as a listener does, until it is lost.
async fn handle(channel: &EventChannel, message: &EventMessage, long: bool) {
    let handled = async {
        for _ in 0..if long { 5 } else { 0 } {
            sleep(LEASE / 3).await;
            channel.extend(message, LEASE).await?;
        }
        channel.ack(message).await
    };
    if let Err(error) = handled.await {
        assert_eq!(error.kind(), ErrorKind::HoldLost, "{error}");
    }
}

/// Publishes for two seconds, some events with a delay.
async fn publish(hosts: Arc<[Host; 2]>) {
    for n in 0..EVENTS {
        let mut options = PublishOptions::new();
        if n % 8 == 0 {
            options = options.delay(Duration::from_millis(300));
        }
        let host = &hosts[usize::from(n % 2 == 0)];
        host.channel
            .publish_with("orders", n, options)
            .await
            .unwrap();
        sleep(Duration::from_millis(8)).await; // so that the steps fall between
    }
}

/// Two hosts at work while something is done to their clocks; what they were given, once
/// nothing is left to be delivered.
async fn at_work(steps: impl AsyncFnOnce(&[Host; 2])) -> BTreeMap<u64, Vec<Delivery>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.db");
    let hosts = Arc::new([Host::new(&file), Host::new(&file)]);
    let deliveries = Deliveries::default();
    let start = |n| tokio::spawn(consume(n, Arc::clone(&hosts), Arc::clone(&deliveries)));
    let consumers = [0, 1].map(start);
    let publishing = tokio::spawn(publish(Arc::clone(&hosts)));
    sleep(Duration::from_millis(500)).await; // both are at work
    steps(&hosts).await;
    publishing.await.unwrap();
    let until = Instant::now() + PATIENCE;
    let stats = loop {
        let stats = hosts[0].stats().await;
        if stats.ready + stats.delayed + stats.leased == 0 {
            break stats;
        }
        assert!(Instant::now() < until, "events are left: {stats:?}");
        sleep(POLL).await; // between two looks
    };
    assert_eq!((stats.acked, stats.dead), (EVENTS, 0));
    for host in &*hosts {
        host.channel.shutdown().await.unwrap();
    }
    for consumer in consumers {
        consumer.await.unwrap();
    }
    let deliveries = std::mem::take(&mut *deliveries.lock().unwrap());
    assert!(
        deliveries.keys().copied().eq(0..EVENTS),
        "some were never handled"
    );
    deliveries
}

fn assert_each_once(deliveries: &BTreeMap<u64, Vec<Delivery>>) {
    for (n, deliveries) in deliveries {
        assert_eq!(deliveries.len(), 1, "{n}: {deliveries:?}");
    }
}

/// A second delivery needs a lease that has ended, by the clock of one of the hosts: whoever gave it
/// to the other one may be the one that is ahead, by so much.
fn assert_each_repeat_has_a_cause(deliveries: &BTreeMap<u64, Vec<Delivery>>, ahead: [Duration; 2]) {
    for (n, deliveries) in deliveries {
        for pair in deliveries.windows(2) {
            let furthest = pair[1].at - ahead[pair[1].host] + ahead[0].max(ahead[1]);
            assert!(furthest >= pair[0].lease, "{n}: {deliveries:?}");
            assert!(pair[1].attempts > pair[0].attempts, "{n}: {deliveries:?}");
        }
    }
}

/// Steps of an hour, ahead or back, with some work by the time of each.
async fn steps(hosts: &[Host], ahead: &[bool]) {
    for ahead in ahead {
        hosts.iter().for_each(|host| host.step(*ahead, HOUR));
        sleep(Duration::from_millis(1200)).await; // they work by the other time
    }
}

/// What was delayed by the time of the step waits for that time, so it comes again at last.
#[tokio::test(flavor = "multi_thread")]
async fn g16_a_clock_that_is_set_ahead_and_back_repeats_and_loses_nothing() {
    let deliveries = at_work(async |hosts| steps(hosts, &[true, false, true]).await).await;
    assert_each_once(&deliveries);
}

#[tokio::test(flavor = "multi_thread")]
async fn g16_a_clock_that_is_set_back_and_ahead_repeats_and_loses_nothing() {
    let deliveries = at_work(async |hosts| steps(hosts, &[false, true]).await).await;
    assert_each_once(&deliveries);
}

/// As when one process has looked at the clock since it was set, and the other has not yet.
#[tokio::test(flavor = "multi_thread")]
async fn g16_a_step_that_only_one_channel_sees_repeats_and_loses_nothing() {
    let deliveries = at_work(async |hosts| steps(&hosts[..1], &[true, false]).await).await;
    assert_each_once(&deliveries);
}

/// Clocks that stay an hour apart break leases, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn g16_channels_whose_clocks_stay_apart_lose_nothing() {
    let deliveries = at_work(async |hosts| hosts[0].step(true, HOUR)).await;
    assert_each_repeat_has_a_cause(&deliveries, [HOUR, Duration::ZERO]);
    for host in 0..2 {
        let handled = deliveries.values().flatten().filter(|one| one.host == host);
        assert!(handled.count() > 0, "host {host} handled nothing");
    }
}

/// Holds the wall clocks to a course for a second and a half.
async fn drive(hosts: &[Host; 2], factor: i32) {
    let (start, wall) = (Instant::now(), hosts[0].clock.now());
    while start.elapsed() < Duration::from_millis(1500) {
        let to = wall + start.elapsed().saturating_mul(factor.unsigned_abs());
        hosts.iter().for_each(|host| host.clock.set(to));
        sleep(Duration::from_millis(2)).await; // the grain of the course
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g16_a_clock_that_stands_still_repeats_and_loses_nothing() {
    let deliveries = at_work(async |hosts| drive(hosts, 0).await).await;
    assert_each_once(&deliveries);
}

/// No lease can be renewed in time then, so events may be repeated, each time for that cause.
#[tokio::test(flavor = "multi_thread")]
async fn g16_a_clock_that_runs_a_hundred_times_too_fast_loses_nothing() {
    let deliveries = at_work(async |hosts| drive(hosts, 100).await).await;
    assert_each_repeat_has_a_cause(&deliveries, [Duration::ZERO; 2]);
}

/// A delay is measured on the clock: it is late by the step, and not for ever.
#[tokio::test(flavor = "multi_thread")]
async fn g16_a_delayed_event_is_late_by_the_step_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(&folder.path().join("events.db"));
    let mut events = host.channel.iter_events("orders").await.unwrap();
    let later = PublishOptions::new().delay(HOUR / 2);
    for n in [1, 2] {
        host.channel
            .publish_with("orders", n, later.clone())
            .await
            .unwrap();
        host.step(false, HOUR);
        let none = tokio::time::timeout(POLL * 6, events.next()).await;
        assert!(none.is_err(), "{none:?}: before its time");
        // One of them when the clock is set right, the other when the hour has passed as well.
        if n == 1 {
            host.step(true, HOUR);
            host.step(true, HOUR / 2);
        } else {
            host.clock.advance(HOUR + HOUR / 2);
        }
        let due = tokio::time::timeout(PATIENCE, events.next()).await;
        let message = due.expect("its time has come").unwrap().unwrap();
        assert_eq!(message.payload, n);
        host.channel.ack(&message).await.unwrap();
    }
    host.channel.shutdown().await.unwrap();
}

/// A holder that is gone is not taken for one that could still renew, but after a step ahead its
/// lease holds for one lease more; after a step back it holds for the step.
#[tokio::test(flavor = "multi_thread")]
async fn g16_what_a_dead_consumer_held_comes_back_after_a_step() {
    for ahead in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.db");
        let hosts = [Host::new(&file), Host::new(&file)];
        hosts[0].channel.publish("orders", 1).await.unwrap();
        let mut dead = hosts[0].channel.iter_events("orders").await.unwrap();
        let message = dead.next().await.unwrap().unwrap();
        assert_eq!(message.attempts, 1);
        let mut heir = hosts[1].channel.iter_events("orders").await.unwrap();
        let none = tokio::time::timeout(POLL * 2, heir.next()).await;
        assert!(none.is_err(), "{none:?}: somebody else holds it");

        let stepped = Instant::now();
        hosts.iter().for_each(|host| host.step(ahead, HOUR));
        if !ahead {
            let none = tokio::time::timeout(LEASE * 2, heir.next()).await;
            assert!(none.is_err(), "{none:?}: its lease is an hour longer");
            hosts.iter().for_each(|host| host.clock.advance(HOUR));
        }
        let again = tokio::time::timeout(PATIENCE, heir.next()).await;
        let message = again.expect("it comes back").unwrap().unwrap();
        assert_eq!((&message.payload, message.attempts), (&1.into(), 2));
        let after = stepped.elapsed();
        assert!(after >= LEASE, "it was taken away {after:?} after the step");
        hosts[1].channel.ack(&message).await.unwrap();
        for host in &hosts {
            host.channel.shutdown().await.unwrap();
        }
    }
}
