//! Many processes that publish to and consume from one file as fast as they can.

use std::time::Duration;

use events_testkit::history::Expect;

use crate::crowd::{assert_calm, drain, workers};
use crate::run::Run;

/// Guarantees 2 and 3: eight processes that all want the write lock all get it in time, and nobody
/// is told that the database is locked.
#[test]
fn g2_g3_eight_processes_that_publish_and_consume_share_the_write_lock() {
    let mut run = Run::new();
    let mut workers = workers(&mut run, 8, Duration::ZERO);
    for worker in &mut workers {
        worker.says("published");
        worker.says("received");
    }
    let time = if std::env::var_os("EVENTS_TEST_LONG").is_some() {
        60
    } else {
        3
    };
    std::thread::sleep(Duration::from_secs(time)); // how long they contend
    drain(&mut run, workers);
    assert_calm(&run.check(&Expect::new()), "eight processes");
}
