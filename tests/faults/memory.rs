//! Guarantee 14: what waits in the database is not in the memory of whoever publishes or consumes it.

use std::fs;
use std::path::Path;

use events_testkit::kernel;

use crate::peer::Peer;
use crate::upkeep::{BOUND, FAST, MIB, folder, length, log_of};

/// Of one call.
const BATCH: u64 = 1000;
/// Beyond what a process with a short queue needs: the caches of SQLite of its three connections,
/// 16 MB each, and the batches under way.
const MORE: u64 = 64 * MIB;

/// The most memory that a publisher and a slow consumer have had, after so many events of which
/// nearly all wait.
fn peaks(file: &Path, events: u64) -> [u64; 2] {
    let [mut publisher, mut consumer] = [(); 2].map(|()| Peer::start(file, FAST));
    for peer in [&publisher, &consumer] {
        peer.opened().unwrap();
    }
    let mut longest = 0;
    for n in (0..events).step_by(BATCH.try_into().unwrap()) {
        publisher.tell(&format!("batch orders {n} {BATCH} 1500"));
        // It handles one event while a thousand are published.
        let taken = consumer.obey("take orders 1 30").others;
        let id = taken[0].split(' ').nth(1).expect("an event is there");
        assert_eq!(consumer.obey(&format!("ack {id}")).others, ["acked"]);
        assert_eq!(publisher.answers("batch").published.len() as u64, BATCH);
        longest = longest.max(length(&log_of(file)));
    }
    // Both processes write, and each may have written its step meanwhile.
    assert!(longest <= BOUND + 16 * MIB, "{} MiB of log", longest / MIB);
    assert!(consumer.obey("stats orders").done);
    [&publisher, &consumer].map(|peer| kernel::peak_memory(peer.id()))
}

#[test]
fn g14_memory_and_log_are_bounded_however_many_events_wait() {
    let long = std::env::var_os("EVENTS_TEST_LONG").is_some();
    let many = if long { 1_000_000 } else { 100_000 };
    let few = peaks(&folder().path().join("events.db"), BATCH);
    let folder = folder();
    let file = folder.path().join("events.db");
    let peaks = peaks(&file, many);
    let stored = fs::metadata(&file).unwrap().len() + length(&log_of(&file));
    assert!(
        stored > 2 * MORE,
        "{} MiB are too little to tell",
        stored / MIB
    );
    for (who, few, many) in [
        ("publisher", few[0], peaks[0]),
        ("consumer", few[1], peaks[1]),
    ] {
        assert!(
            many <= few + MORE,
            "{who}: {} MiB with {many} events waiting, {} MiB with {BATCH}",
            many / MIB,
            few / MIB
        );
    }
}
