//! Workers that publish and consume at the same time, and what is promised to them.

use std::time::Duration;

use events_testkit::history::{Report, State};
use events_testkit::process::Process;

use crate::run::{Run, finish};

/// Nobody waits longer, whoever else is at work.
const STARVED: Duration = Duration::from_secs(5);

/// Everything was handled, nobody was refused, and nobody starved.
pub(crate) fn assert_calm(report: &Report, context: &str) {
    report.assert_clean(context);
    assert!(
        report.failures.is_empty(),
        "{context}: nobody is told of a lock\n{report}"
    );
    assert_eq!(report.duplicates(), 0, "{context}: {report}");
    assert_eq!(
        report.rest,
        [(State::Acked, report.published)].into(),
        "{context}: {report}"
    );
    assert!(
        report.publish.max < STARVED,
        "{context}: a publisher starved\n{report}"
    );
    assert!(
        report.settle.max < STARVED,
        "{context}: a consumer starved\n{report}"
    );
}

/// Workers that publish and consume at the same time, half of them on threads.
pub(crate) fn workers(run: &mut Run, count: usize, pause: Duration) -> Vec<Process> {
    let worker = |n| {
        let work = run
            .work("worker")
            .consumes(2, n % 4 == 1)
            .publishes(None, 1);
        work.pausing(pause).blocking(n % 2 == 0).start()
    };
    (0..count).map(worker).collect()
}

/// Ends the workers' publishing and lets a last consumer handle what is left.
pub(crate) fn drain(run: &mut Run, workers: Vec<Process>) {
    finish(workers);
    let last = run.work("last").consumes(2, false).start();
    let channel = run.open();
    run.drained(&channel);
    finish([last]);
    channel.shutdown().unwrap();
}
