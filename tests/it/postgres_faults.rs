//! What happens to sessions, networks and pools under load: nothing is lost, and what is delivered
//! twice has a cause.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use event_channels::{
    BackendKind, EventChannel, EventsConfig, IterOptions, ListenOptions, NewEvent, RetryAfter,
};
use events_testkit::history::Lines;
use events_testkit::postgres::{Server, ServerOptions, database, query};
use events_testkit::proxy::{Direction, FaultProxy, Flow, Upstream};

use crate::postgres_load::{LEASE, Running};

/// The sessions of a test's own channel: those of the test itself are not named like that.
const SESSIONS: &str = "FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'event-channels'";

fn cycles(short: u32, long: u32) -> u32 {
    match std::env::var_os("EVENTS_TEST_LONG") {
        Some(_) => long,
        None => short,
    }
}

#[test]
fn backends_that_are_killed_lose_nothing() {
    let database = match database() {
        Ok(database) => database,
        Err(missing) => return missing.skip("backends_that_are_killed_lose_nothing"),
    };
    for woken in [false, true] {
        let running = Running::start(database.url(), |config| match woken {
            true => config.backend(BackendKind::NotifyQueue),
            false => config,
        });
        let mut killed = 0;
        for cycle in 0..cycles(40, 2000) {
            running.load.go_on_for(15);
            // All of them, or whoever comes first.
            let some = if cycle % 3 == 0 { "" } else { "LIMIT 1" };
            let sql = format!("SELECT pg_terminate_backend(pid) {SESSIONS} {some}");
            killed += database.query(&sql).len();
        }
        assert!(killed >= 40, "sessions were killed: {killed}");
        running.finish(database.url(), &Lines::default(), "killed backends");
        database.query("TRUNCATE sqlspec_event_queue_done");
    }
}

/// A backend that stands still for longer than a lease keeps locks and answers nothing.
#[test]
fn backends_that_stand_still_lose_nothing() {
    let server = match Server::start(&ServerOptions::new()) {
        Ok(server) => server,
        Err(missing) => return missing.skip("backends_that_stand_still_lose_nothing"),
    };
    let url = server.database();
    let running = Running::start(&url, |config| config);
    for _ in 0..cycles(4, 100) {
        running.load.go_on_for(60);
        let pids: Vec<String> = query(&url, &format!("SELECT pid {SESSIONS}"))
            .into_iter()
            .filter_map(|row| row.into_iter().next().flatten())
            .collect();
        assert!(!pids.is_empty());
        let signal = |signal: &str| {
            // One of them may have ended since.
            let _ = Command::new("kill")
                .arg(signal)
                .args(&pids)
                .status()
                .unwrap();
        };
        signal("-STOP");
        thread::sleep(LEASE * 3 / 2); // so long they stand still
        signal("-CONT");
    }
    running.finish(&url, &Lines::default(), "backends that stood still");
}

#[test]
fn a_network_that_fails_loses_nothing() {
    let database = match database() {
        Ok(database) => database,
        Err(missing) => return missing.skip("a_network_that_fails_loses_nothing"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let proxy = runtime.block_on(FaultProxy::start(Upstream::Tcp(address(database.url()))));
    let proxy = proxy.unwrap();
    let running = Running::start(&proxy.url(database.url()), |config| {
        config.backend(BackendKind::NotifyQueue)
    });
    for cycle in 0..cycles(16, 400) {
        running.load.go_on_for(20);
        match cycle % 4 {
            0 => proxy.cut(),
            1 => proxy.reset(),
            2 => {
                proxy.set(Direction::ToClient, Flow::Hold);
                thread::sleep(Duration::from_millis(200)); // so long it is a black hole
                proxy.cut();
                proxy.set(Direction::ToClient, Flow::Pass);
            }
            _ => {
                proxy.refuse(true);
                proxy.cut();
                thread::sleep(Duration::from_millis(100)); // so long nobody connects
                proxy.refuse(false);
            }
        }
    }
    assert!(proxy.accepted() > 8);
    running.finish(database.url(), &Lines::default(), "a network that fails");
}

fn address(url: &str) -> std::net::SocketAddr {
    let rest = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap();
    std::net::ToSocketAddrs::to_socket_addrs(host)
        .unwrap()
        .next()
        .unwrap()
}

async fn open(url: &str, change: impl FnOnce(EventsConfig) -> EventsConfig) -> EventChannel {
    let config = EventsConfig::new(url)
        .unwrap()
        .backend(BackendKind::PollQueue)
        .auto_migrate(true);
    change(config).open().await.unwrap()
}

/// One connection for everything: who waits for it is served in the end.
#[test]
fn a_pool_of_one_connection_serves_everybody() {
    let database = match database() {
        Ok(database) => database,
        Err(missing) => return missing.skip("a_pool_of_one_connection_serves_everybody"),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let channel = open(database.url(), |config| {
            config.pool_size(1).backend(BackendKind::NotifyQueue)
        })
        .await;
        let handled = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
        let mut listeners = Vec::new();
        for _ in 0..8 {
            let handled = std::sync::Arc::clone(&handled);
            let handler = move |_| {
                handled.add_permits(1);
                std::future::ready(Ok(()))
            };
            let options = ListenOptions::new();
            listeners.push(channel.listen("orders", options, handler).await.unwrap());
        }
        let publishers: Vec<_> = (0..32)
            .map(|n| {
                let channel = channel.clone();
                tokio::spawn(async move {
                    for event in 0..10 {
                        channel.publish("orders", n * 10 + event).await.unwrap();
                        channel.stats("orders").await.unwrap();
                    }
                })
            })
            .collect();
        for publisher in publishers {
            publisher.await.unwrap();
        }
        let all = tokio::time::timeout(Duration::from_secs(60), handled.acquire_many(320));
        all.await.expect("every event is handled").unwrap().forget();
        for listener in listeners {
            listener.stop().await;
        }
        let total = channel.stats("orders").await.unwrap().total();
        assert_eq!((total.acked, total.ready, total.leased), (320, 0, 0));
        channel.shutdown().await.unwrap();
    });
}

/// However many events are ready: what was nacked, and what a consumer that is gone had held, is
/// delivered within two poll intervals of the moment at which it can be.
#[test]
fn what_comes_back_is_delivered_within_two_poll_intervals_of_constant_traffic() {
    const POLL: Duration = Duration::from_secs(1);
    const LEASE: Duration = Duration::from_secs(1);
    let test = "what_comes_back_is_delivered_within_two_poll_intervals_of_constant_traffic";
    let database = match database() {
        Ok(database) => database,
        Err(missing) => return missing.skip(test),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        // Its own leases are long, so that only its look at everything finds the other's.
        let (other, channel) = (
            open(database.url(), |config| config.lease(LEASE)).await,
            open(database.url(), |config| config.poll_interval(POLL)).await,
        );
        let one = IterOptions::new().prefetch(1);
        let mut gone = other.iter_events_with("orders", one).await.unwrap();
        other.publish("orders", "expires").await.unwrap();
        let held = gone.next().await.unwrap().unwrap();
        let ends = Instant::now() + LEASE;
        // It is never settled, and its process says nothing more.
        drop(held);
        other.publish("orders", "nacked").await.unwrap();
        let nacked = gone.next().await.unwrap().unwrap();

        let mut events = channel.iter_events("orders").await.unwrap();
        let (mut back, mut expired, mut returned) = (None, None, None);
        let begun = Instant::now();
        while expired.is_none() || returned.is_none() {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{expired:?}, {returned:?}"
            );
            // There is always more than is taken.
            let more = (0..200).map(|n| NewEvent::new("orders", n));
            channel.publish_many(more).await.unwrap();
            if back.is_none() && begun.elapsed() > Duration::from_millis(300) {
                other
                    .nack(&nacked, RetryAfter::Delay(Duration::ZERO))
                    .await
                    .unwrap();
                back = Some(Instant::now());
            }
            for _ in 0..100 {
                let message = events.next().await.unwrap().unwrap();
                match message.payload.as_str() {
                    Some("expires") => expired = Some(Instant::now()),
                    Some("nacked") => returned = Some(Instant::now()),
                    _ => {}
                }
                channel.ack(&message).await.unwrap();
            }
        }
        let late = |from: Instant, at: Option<Instant>| at.unwrap().saturating_duration_since(from);
        let (expiry, nack) = (late(ends, expired), late(back.unwrap(), returned));
        assert!(
            expiry < POLL * 2,
            "the expired one came {expiry:?} after its lease"
        );
        assert!(
            nack < POLL * 2,
            "the nacked one came {nack:?} after its nack"
        );
    });
}
