//! Programs that hold locks of the file for long.

use std::time::Duration;

use events_testkit::history::Expect;

use crate::crowd::{assert_calm, drain, workers};
use crate::order::Hostile;
use crate::run::{Run, finish};

/// Guarantee 2: a program that holds the write lock for two seconds delays everybody, and nobody
/// is told that the database is locked.
#[test]
fn g2_a_hostile_writer_delays_and_loses_nothing() {
    const HELD: Duration = Duration::from_secs(2);
    let mut run = Run::new();
    let mut workers = workers(&mut run, 4, Duration::from_millis(5));
    for worker in &mut workers {
        worker.says("published");
        worker.says("received");
    }
    let hostile = Hostile {
        file: run.file(),
        write_lock: Some(HELD),
        pause: Duration::from_millis(500),
        times: 2,
    };
    let mut hostile = hostile.start("hostile");
    for word in ["locked", "unlocked", "locked", "unlocked"] {
        hostile.says(word);
    }
    finish([hostile]);
    drain(&mut run, workers);
    let report = run.check(&Expect::new());
    assert_calm(&report, "a hostile writer");
    assert!(
        report.publish.max > HELD / 2,
        "the lock was in nobody's way\n{report}"
    );
}
