//! The server crashes under load, again and again: nothing that a publisher was told to be stored
//! is lost, and what is delivered twice has a cause.

use std::time::{Duration, Instant};

use event_channels::{BackendKind, ErrorKind, EventChannel, EventMessage, EventsConfig, Settled};
use events_testkit::history::{Lines, Moment, Record, What};
use events_testkit::postgres::{Server, ServerOptions, Stop, query};
use events_testkit::{Missing, next, nothing_within};

use crate::postgres_load::{LEASE, PAUSE, Running};

fn crash(cycles: u32) {
    let server = match Server::start(&ServerOptions::new()) {
        Ok(server) => server,
        Err(missing) => return missing.skip("postgres_crash"),
    };
    let url = server.database();
    let losses = Lines::default();
    let running = Running::start(&url, |config| config);
    for _ in 0..cycles {
        // Work goes on until the server is stopped: a crash hits whatever is under way.
        running.load.go_on_for(60);
        lose_power(&losses);
        server.stop(Stop::Immediate);
        server.start_again();
        lose_power(&losses);
    }
    assert!(running.load.published() > u64::from(cycles) * 60);
    running.finish(&url, &losses, "crashes of the server");
}

/// A crash of the server is a loss of power for the events whose commit was not flushed.
fn lose_power(lines: &Lines) {
    let record = Record::new(Moment::now(), "server", What::PowerLost);
    let mut line = serde_json::to_vec(&record).unwrap();
    line.push(b'\n');
    std::io::Write::write_all(&mut lines.clone(), &line).unwrap();
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

/// A server that flushes late what need not be flushed, so that a crash undoes it.
fn forgetful() -> Result<Server, Missing> {
    let settings = [
        "wal_level = minimal",
        "max_wal_senders = 0",
        "wal_writer_delay = 10s",
        "bgwriter_lru_maxpages = 0",
        "autovacuum = off",
    ];
    let options = settings
        .into_iter()
        .fold(ServerOptions::new(), ServerOptions::setting);
    Server::start(&options)
}

async fn open(url: &str) -> EventChannel {
    let config = EventsConfig::new(url)
        .unwrap()
        .backend(BackendKind::PollQueue)
        .auto_migrate(true)
        .lease(LEASE)
        .poll_interval(POLL);
    config.open().await.unwrap()
}

const POLL: Duration = Duration::from_millis(20);
/// Far less than the minute after which everything is looked at from its very begin.
const LIMIT: Duration = Duration::from_secs(20);

/// Publishes until the server is there again.
async fn publish(channel: &EventChannel, payload: &str) {
    let begun = Instant::now();
    while let Err(error) = channel.publish("orders", payload).await {
        assert!(begun.elapsed() < LIMIT, "{error}");
        tokio::time::sleep(PAUSE).await; // the server is away
    }
}

/// The next event, whatever the stream says of a server that was away.
async fn next_after_crash(channel: &EventChannel) -> EventMessage {
    let wait = async {
        loop {
            let Ok(mut events) = channel.iter_events("orders").await else {
                tokio::time::sleep(PAUSE).await; // the server is away
                continue;
            };
            while let Some(answer) = events.next().await {
                match answer {
                    Ok(message) => return message,
                    Err(error) if error.stream_continues() => {}
                    Err(_) => break,
                }
            }
        }
    };
    let message = tokio::time::timeout(LIMIT, wait).await;
    message.expect("the event is not found")
}

fn last_id(url: &str) -> i64 {
    let rows = query(url, "SELECT last_value FROM sqlspec_event_queue_id_seq");
    rows[0][0].as_deref().unwrap().parse().unwrap()
}

/// Many ids were taken and nothing was stored with them, so nothing of that was flushed. A consumer
/// has read past them.
#[test]
fn events_are_found_at_once_where_a_crash_lets_ids_begin_again() {
    let server = match forgetful() {
        Ok(server) => server,
        Err(missing) => {
            return missing.skip("events_are_found_at_once_where_a_crash_lets_ids_begin_again");
        }
    };
    let url = server.database();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (publisher, channel) = (open(&url).await, open(&url).await);
        publish(&publisher, "before").await;
        let mut events = channel.iter_events("orders").await.unwrap();
        let message = next(&mut events).await;
        channel.ack(&message).await.unwrap();
        let before = last_id(&url);
        query(
            &url,
            "BEGIN; SELECT nextval('sqlspec_event_queue_id_seq') FROM generate_series(1, 10000); ROLLBACK",
        );
        nothing_within(&mut events, POLL * 20).await;
        drop(events);
        let passed = last_id(&url);
        server.stop(Stop::Immediate);
        server.start_again();
        let after = last_id(&url);
        assert!(after >= before && after < passed, "{before}, {passed}, {after}");
        publish(&publisher, "after").await;
        let message = next_after_crash(&channel).await;
        assert_eq!(message.payload, "after");
        channel.ack(&message).await.unwrap();
    });
}

/// The claim was not flushed, and its fence is gone with it. Guarantee 5: whoever held the event by
/// it is overtaken all the same, once somebody else has claimed it.
#[test]
fn g5_a_claim_that_a_crash_has_undone_is_overtaken() {
    let server = match forgetful() {
        Ok(server) => server,
        Err(missing) => return missing.skip("g5_a_claim_that_a_crash_has_undone_is_overtaken"),
    };
    let url = server.database();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (forgotten, other) = (open(&url).await, open(&url).await);
        publish(&forgotten, "held").await;
        let held = next_after_crash(&forgotten).await;
        server.stop(Stop::Immediate);
        server.start_again();
        let again = next_after_crash(&other).await;
        assert_eq!(again.event_id, held.event_id);
        let late = loop {
            match forgotten.ack(&held).await {
                // Its connections are those of before the crash.
                Err(error) if error.is_retryable() => tokio::time::sleep(PAUSE).await,
                answer => break answer,
            }
        };
        assert_eq!(late.unwrap_err().kind(), ErrorKind::HoldLost);
        assert_eq!(other.ack(&again).await.unwrap(), Settled::Recorded);
    });
}
