//! Processes that share the work.

use std::time::Duration;

use events_testkit::history::{Expect, Report, State};

use crate::run::{Run, finish};

/// Half of the processes work in async code and half on threads; half of them listen.
fn processes_with_four_consumers(mut run: Run, processes: usize, events: u64) -> Report {
    let mut consumers: Vec<_> = (0..processes)
        .map(|n| {
            let work = run.work("consumer").consumes(4, n % 2 == 0);
            work.blocking(n >= processes / 2).start()
        })
        .collect();
    let mut publisher = run.work("publisher").publishes(Some(events), 100).start();
    publisher.says("finished");
    let channel = run.open();
    run.drained(&channel);
    consumers
        .iter_mut()
        .for_each(|consumer| consumer.says("received"));
    finish(consumers.into_iter().chain([publisher]));
    channel.shutdown().unwrap();
    run.check(&Expect::new().wake_within(Duration::from_secs(2)))
}

fn every_event_is_handled_exactly_once(run: Run, processes: usize, events: u64) {
    let report = processes_with_four_consumers(run, processes, events);
    report.assert_clean("processes with 4 consumers each");
    let count = usize::try_from(events).unwrap();
    assert_eq!(
        (report.published, report.deliveries, report.duplicates()),
        (count, count, 0),
        "{report}"
    );
    assert_eq!(report.rest, [(State::Acked, count)].into(), "{report}");
    assert!(report.failures.is_empty(), "{report}");
}

/// Guarantees 2, 3 and 4: none is lost, none comes twice, and nobody is told that the database is
/// locked.
#[test]
fn g2_g3_g4_four_processes_with_four_consumers_handle_each_event_once() {
    every_event_is_handled_exactly_once(Run::new(), 4, 100_000);
}

/// The same on PostgreSQL.
#[test]
fn g2_g3_g4_on_postgres_two_processes_with_four_consumers_handle_each_event_once() {
    let events = match std::env::var_os("EVENTS_TEST_LONG") {
        Some(_) => 100_000,
        None => 10_000,
    };
    match Run::on_postgres() {
        Ok(run) => every_event_is_handled_exactly_once(run, 2, events),
        Err(missing) => missing.skip("g2_g3_g4_on_postgres"),
    }
}
