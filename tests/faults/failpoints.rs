//! A process dies at a chosen place: before and after a COMMIT, between COMMIT and wake, between two
//! jobs of a transaction, and within a migration.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use event_channels::migrations::State;
use event_channels::{EventsConfig, blocking};

use crate::peer::{Peer, assert_sound, url};
use crate::watch::{POLL, Watch};

/// Beyond the poll interval: one claim, on a machine that does other things too.
const SLACK: Duration = Duration::from_secs(1);

/// A publisher dies at the n-th pass of a failpoint around COMMIT. Exactly the events before it are
/// there, and with `committed` also the one whose answer nobody heard; the consumer in this process,
/// which no wake has reached, has them within its poll interval.
fn publisher_dies(failpoint: &str, committed: bool) {
    for pass in 1..=4 {
        // In turn by the writer's thread, and by the caller that leads.
        for command in ["publish", "lead"] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("events.db");
            let watch = Watch::start(&file, "");
            let mut peer = Peer::failing(&file, "", failpoint, pass);
            peer.opened().unwrap();
            let answers = peer.obey(&format!("{command} orders 0 10 100"));
            let died = Instant::now();
            let what = format!("{failpoint}:{pass}, {command}");
            assert!(!answers.done, "{what}: it survived");

            let acknowledged = u64::from(pass) - 1;
            let stored = acknowledged + u64::from(committed);
            assert!(
                answers.published.keys().copied().eq(0..acknowledged),
                "{what}: {answers:?}"
            );
            let (seen, stats) = watch.drain();
            assert!(seen.keys().copied().eq(0..stored), "{what}: {seen:?}");
            for (n, id) in &answers.published {
                assert_eq!(&seen[n].id, id, "{what}");
            }
            assert_eq!((stats.acked, stats.dead), (stored, 0), "{what}");
            if let Some(last) = seen.values().map(|event| event.at).max() {
                let late = last.saturating_duration_since(died);
                assert!(late < POLL + SLACK, "{what}: {late:?} after the death");
            }
            assert_sound(&file);
        }
    }
}

#[test]
fn before_commit_nothing_is_stored() {
    publisher_dies("before_commit", false);
}

#[test]
fn after_commit_it_is_stored_and_found_without_a_wake() {
    publisher_dies("after_commit", true);
}

#[test]
fn after_the_wake_it_is_stored_although_nobody_was_answered() {
    publisher_dies("after_wake", true);
}

/// A batch of one call is stored as a whole or not at all, wherever its process dies.
#[test]
fn a_batch_is_never_stored_in_half() {
    for (failpoint, stored) in [("after_job", 0), ("before_commit", 0), ("after_commit", 50)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.db");
        let watch = Watch::start(&file, "");
        let mut peer = Peer::failing(&file, "", failpoint, 1);
        peer.opened().unwrap();
        assert!(
            !peer.obey("batch orders 0 50 100").done,
            "{failpoint}: it survived"
        );
        let (seen, _) = watch.drain();
        assert!(seen.keys().copied().eq(0..stored), "{failpoint}: {seen:?}");
        assert_sound(&file);
    }
}

/// Dies between two jobs of one transaction: none of its jobs is stored, and what was acknowledged
/// before is.
#[test]
fn between_two_jobs_the_transaction_is_undone() {
    const JOBS: u32 = 8;
    let mut undone = 0;
    for job in 1..=JOBS {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.db");
        let watch = Watch::start(&file, "");
        let mut peer = Peer::failing(&file, "", "after_job", 1 + job);
        peer.opened().unwrap();
        assert_eq!(peer.obey("publish orders 0 1 100").published.len(), 1);
        let answers = peer.obey(&format!("group orders 1 {JOBS} 100"));
        assert!(!answers.done, "it survived job {job}");
        let (seen, _) = watch.drain();
        assert!(seen.contains_key(&0), "{seen:?}");
        let stored = u32::try_from(seen.len()).unwrap() - 1;
        assert!(stored < job, "the job that it died in is stored: {seen:?}");
        undone += job - stored;
        assert_sound(&file);
    }
    // The writer's thread may take a few of the jobs for a transaction of their own, but not each.
    assert!(undone > JOBS, "each job was a transaction of its own");
}

/// A consumer dies around the transactions of its claims and acks. What it was told is acknowledged
/// stays so, everything else is delivered to another process, and nothing twice.
#[test]
fn a_consumer_that_dies_loses_and_repeats_nothing() {
    const EVENTS: u64 = 4;
    let options = "lease_seconds = 0.3";
    for failpoint in ["after_job", "before_commit", "after_commit", "after_wake"] {
        for pass in 1..=6 {
            let what = format!("{failpoint}:{pass}");
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("events.db");
            let mut publisher = Peer::start(&file, options);
            publisher.opened().unwrap();
            let ids = publisher
                .obey(&format!("batch orders 0 {EVENTS} 10"))
                .published;
            assert_eq!(ids.len() as u64, EVENTS);

            let mut consumer = Peer::failing(&file, options, failpoint, pass);
            consumer.opened().unwrap();
            let (mut acked, mut unknown) = (BTreeSet::new(), None);
            loop {
                let taken = consumer.obey("take orders 1 5");
                let Some(event) = taken.others.first().filter(|_| taken.done) else {
                    break;
                };
                let words: Vec<&str> = event.split(' ').collect();
                let ["got", id, n, "1"] = words[..] else {
                    panic!("{what}: {event}")
                };
                let n: u64 = n.parse().unwrap();
                if !consumer.obey(&format!("ack {id}")).done {
                    unknown = Some(n);
                    break;
                }
                acked.insert(n);
            }
            // The last passes may be beyond its work.
            drop(consumer);

            let (seen, stats) = Watch::start(&file, options).drain();
            for n in 0..EVENTS {
                let again = seen.contains_key(&n);
                assert!(
                    !(again && acked.contains(&n)),
                    "{what}: {n} was acknowledged"
                );
                assert!(
                    again || acked.contains(&n) || unknown == Some(n),
                    "{what}: {n} is lost"
                );
            }
            assert!(
                seen.values().all(|event| event.attempts <= 2),
                "{what}: {seen:?}"
            );
            assert_eq!((stats.acked, stats.dead), (EVENTS, 0), "{what}");
            assert_sound(&file);
        }
    }
}

/// A process dies while it makes the tables, in a file with another queue in it. The next one makes
/// them as if nothing had been, and the other queue keeps its events.
#[test]
fn a_migration_that_is_cut_off_leaves_nothing_behind() {
    for pass in 1..=3 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.db");
        let mut other = Peer::start(&file, "queue_table = \"other\"");
        other.opened().unwrap();
        assert_eq!(other.obey("batch orders 0 5 100").published.len(), 5);

        let died = Peer::failing(&file, "", "mid_migration", pass);
        died.opened().expect_err("it dies before it is open");
        let config = EventsConfig::new(url(&file)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let status = runtime.block_on(config.migrate_status()).unwrap();
        assert!(
            status
                .iter()
                .all(|migration| migration.state == State::Pending),
            "{status:?}"
        );

        let channel = blocking::EventChannel::open(&*url(&file)).unwrap();
        channel.publish("orders", 1).unwrap();
        let stats = channel.stats("orders").unwrap().total();
        assert_eq!(stats.ready, 1);
        assert_eq!(other.obey("stats orders").others, ["stats 5 0 0 0 0"]);
        assert_sound(&file);
    }
}
