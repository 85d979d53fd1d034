//! An event that kills whoever handles it.

use event_channels::blocking;
use events_testkit::history::{Cause, Expect, State};
use serde_json::json;

use crate::order::CHANNEL;
use crate::run::{Run, finish};

/// Guarantee 7: an event that kills its consumer again and again becomes a dead letter; its
/// neighbours, which were claimed in the same batch, do not.
#[test]
fn g7_an_event_that_kills_its_process_takes_no_neighbour_with_it() {
    const ATTEMPTS: usize = 4;
    let mut run = Run::new();
    let channel = blocking::EventChannel::open(&*run.url()).unwrap();
    let payloads: Vec<_> = (0..10)
        .map(|n| if n == 4 { json!("poison") } else { json!(n) })
        .collect();
    let ids = run.publish(&channel, &payloads);
    let options = format!("max_attempts = {ATTEMPTS}\nlease_seconds = 0.2\nprefetch = 10");
    let mut deaths = 0;
    let last = loop {
        let work = run.work("consumer").consumes(1, deaths % 2 == 0);
        let mut consumer = work.options(&options).start();
        let settled = || {
            let stats = channel.stats(CHANNEL).unwrap().total();
            stats.dead + stats.acked == 10
        };
        if consumer.ends_before(settled) {
            run.kill(&mut consumer); // it has died already
            deaths += 1;
            assert!(
                deaths <= ATTEMPTS,
                "it was claimed more than max_attempts times"
            );
        } else {
            break consumer;
        }
    };
    finish([last]);
    let dead = channel
        .admin()
        .unwrap()
        .dead_letters(CHANNEL.try_into().unwrap(), 10);
    let dead = dead.wait().unwrap();
    assert_eq!(
        (dead.len(), dead[0].event_id, deaths),
        (1, ids[4], ATTEMPTS)
    );
    assert_eq!(dead[0].reason, "max_attempts");
    channel.shutdown().unwrap();

    let report = run.check(&Expect::new().max_attempts(4));
    report.assert_clean("poison");
    assert_eq!(
        report.rest,
        [(State::Acked, 9), (State::Exhausted, 1)].into(),
        "{report}"
    );
    let again = report
        .duplicates
        .keys()
        .all(|cause| matches!(cause, Cause::Death | Cause::Expiry));
    assert!(again, "{report}");
}
