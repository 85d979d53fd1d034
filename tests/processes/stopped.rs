//! A consumer that stands still for longer than its lease, and then goes on as if nothing had been.

use std::thread;
use std::time::Duration;

use events_testkit::history::{Cause, Expect, State};

use crate::crowd::drain;
use crate::run::Run;

/// Guarantees 4 and 5: while it stands still others take over what it holds, not before its lease
/// has ended; what it says afterwards of what others hold by then is refused and changes nothing.
#[test]
fn g4_g5_the_late_verdicts_of_a_stopped_consumer_change_nothing() {
    check(Run::new());
}

/// The same on PostgreSQL, where a stopped consumer keeps its sessions.
#[test]
fn g4_g5_on_postgres_the_late_verdicts_of_a_stopped_consumer_change_nothing() {
    match Run::on_postgres() {
        Ok(run) => check(run),
        Err(missing) => missing.skip("g4_g5_on_postgres"),
    }
}

fn check(mut run: Run) {
    let lease = "lease_seconds = 0.3";
    let work = run.work("publisher").publishes(None, 1);
    let mut publisher = work.pausing(Duration::from_millis(10)).start();
    publisher.says("published");
    let mut consumers: Vec<_> = [false, true]
        .map(|on_threads| {
            let work = run.work("consumer").options(lease).consumes(2, false);
            // Between the delivery and the verdict, so that a stop falls there.
            work.handling_for(Duration::from_millis(40))
                .blocking(on_threads)
                .start()
        })
        .into();
    consumers
        .iter_mut()
        .for_each(|consumer| consumer.says("received"));
    for round in 0..8 {
        let consumer = &consumers[round % 2];
        consumer.stop();
        thread::sleep(Duration::from_millis(700)); // more than its lease, and a poll of the others
        consumer.go_on();
        thread::sleep(Duration::from_millis(100)); // it says what it has to say
    }
    consumers.push(publisher);
    drain(&mut run, consumers);
    let report = run.check(&Expect::new());
    report.assert_clean("consumers that were stopped");
    assert_eq!(
        report.rest,
        [(State::Acked, report.published)].into(),
        "{report}"
    );
    assert_eq!(
        report.duplicates.keys().collect::<Vec<_>>(),
        [&Cause::Expiry],
        "{report}"
    );
    assert_eq!(
        report.failures.keys().collect::<Vec<_>>(),
        ["hold lost"],
        "{report}"
    );
}
