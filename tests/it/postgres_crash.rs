//! The server crashes under load, again and again: nothing that a publisher was told to be stored
//! is lost, and what is delivered twice has a cause.

use event_channels::{BackendKind, ErrorKind, EventsConfig, Settled};
use events_testkit::history::{Lines, Moment, Record, What};
use events_testkit::postgres::{Server, ServerOptions, Stop, database};
use events_testkit::{fails_with, next};

use crate::postgres_load::Running;

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

/// A crash may undo a claim that was not flushed, its fence too. Whoever held the event by it is
/// overtaken all the same, once somebody else has claimed it.
#[test]
fn a_claim_that_a_crash_has_undone_is_overtaken() {
    let database = match database() {
        Ok(database) => database,
        Err(missing) => return missing.skip("a_claim_that_a_crash_has_undone_is_overtaken"),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let open = || {
            EventsConfig::new(database.url())
                .unwrap()
                .backend(BackendKind::PollQueue)
                .auto_migrate(true)
                .open()
        };
        let (forgotten, other) = (open().await.unwrap(), open().await.unwrap());
        forgotten.publish("orders", 1).await.unwrap();
        let mut first = forgotten.iter_events("orders").await.unwrap();
        let held = next(&mut first).await;
        database.query(
            "UPDATE sqlspec_event_queue SET state = 0, lease_token = 0, attempts = 0, lease_expires_at = NULL",
        );
        let mut second = other.iter_events("orders").await.unwrap();
        let again = next(&mut second).await;
        assert_eq!(again.event_id, held.event_id);
        fails_with(forgotten.ack(&held).await, ErrorKind::HoldLost);
        assert_eq!(other.ack(&again).await.unwrap(), Settled::Recorded);
    });
}
