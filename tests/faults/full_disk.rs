//! No room: by a limit of the database, and on a disk that is really full.
//!
//! Guarantee 15: publish answers `StorageFull`, nothing is stored in half, nothing that was
//! acknowledged is lost, consumers go on, and so does everything once there is room.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use events_testkit::{Missing, kernel};

use crate::peer::{Answers, PATIENCE, Peer, assert_sound, command};

/// What is acknowledged is deleted, and so makes room.
const OPTIONS: &str = "retention_seconds = 0\npoll_interval = 0.5";
/// Of a disk that only one process sees.
const DISK_BYTES: usize = 6 * 1024 * 1024;
/// What somebody else has on it, until room is made.
const BALLAST_BYTES: usize = 4 * 1024 * 1024;

fn assert_full(answers: &Answers) {
    let errors: Vec<_> = answers.others.iter().collect();
    let says_why =
        |line: &&String| line.starts_with("err StorageFull") && line.contains("full; free space");
    assert!(
        answers.done && !errors.is_empty() && errors.iter().all(says_why),
        "{answers:?}"
    );
}

/// Publishes until there is no room; what was stored until then, and the number that was not.
fn fill(peer: &mut Peer, from: u64) -> (BTreeMap<u64, String>, u64) {
    let mut stored = BTreeMap::new();
    for n in from..from + 5000 {
        let mut answers = peer.obey(&format!("publish orders {n} 1 4000"));
        if answers.errors().is_empty() {
            stored.append(&mut answers.published);
        } else {
            assert_full(&answers);
            return (stored, n);
        }
    }
    panic!("there was always room");
}

/// Takes so many events and acknowledges each; their numbers, none of them twice. A consumer that
/// was told of a full disk still waits for its next look.
fn consume(peer: &mut Peer, count: usize, taken: &mut BTreeSet<u64>) {
    let until = Instant::now() + PATIENCE;
    for _ in 0..count {
        let event = loop {
            let answers = peer.obey("take orders 1 10");
            match answers.others.into_iter().next() {
                Some(line) if line.starts_with("got ") => break line,
                Some(line) if line.starts_with("err StorageFull") && Instant::now() < until => {}
                other => panic!("{other:?} after {taken:?}"),
            }
        };
        let words: Vec<&str> = event.split(' ').collect();
        assert!(taken.insert(words[2].parse().unwrap()), "{event}: again");
        assert_eq!(peer.obey(&format!("ack {}", words[1])).others, ["acked"]);
    }
}

fn refused(peer: &mut Peer, command: &str) {
    let answers = peer.obey(command);
    assert_full(&answers);
    assert!(answers.published.is_empty(), "{answers:?}");
}

#[test]
fn g15_a_database_that_may_not_grow_refuses_what_does_not_fit_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.db");
    let mut peer = Peer::start(&file, OPTIONS);
    peer.opened().unwrap();
    let mut stored = peer.obey("batch orders 0 20 4000").published;
    assert_eq!(stored.len(), 20);
    // A limit below the length of the file means that length.
    assert!(peer.obey("pages 1").done);
    let (more, beyond) = fill(&mut peer, 20);
    stored.extend(more);
    refused(&mut peer, &format!("batch orders {beyond} 50 4000"));
    refused(&mut peer, &format!("lead orders {beyond} 10 4000"));

    // Consumers go on, since what they write keeps its length; and what they have done with makes
    // room for more, although the file may not grow.
    let mut taken = BTreeSet::new();
    consume(&mut peer, stored.len(), &mut taken);
    assert!(taken.iter().eq(stored.keys()), "{taken:?} of {stored:?}");
    let again = peer
        .obey(&format!("publish orders 6000 {} 4000", stored.len()))
        .published;
    assert_eq!(again.len(), stored.len());
    consume(&mut peer, again.len(), &mut taken);

    let (last, _) = fill(&mut peer, 7000);
    assert!(peer.obey("pages 4294967294").done);
    let healed = peer.obey("batch orders 15000 50 4000").published;
    assert_eq!(healed.len(), 50);
    consume(&mut peer, last.len() + 50, &mut taken);
    assert!(taken.iter().rev().take(50).eq(healed.keys().rev()));
    assert_eq!(peer.obey("stats orders").others, ["stats 0 0 0 0 0"]);
    assert!(peer.obey("shutdown").done);
    peer.end();
    assert_sound(&file);
}

/// A peer on a small disk in a mount namespace of its own, and the folder as we see it.
fn on_small_disk(test: &str, folder: &Path) -> Option<(Peer, PathBuf)> {
    let mount = format!("mount -t tmpfs -o size={DISK_BYTES} none \"$0\" && exec \"$@\"");
    let through = |rights: &str| -> Vec<String> {
        let words = ["unshare", rights, "sh", "-c", &mount];
        let words = words.into_iter().map(str::to_owned);
        words.chain([folder.display().to_string()]).collect()
    };
    let works = |words: &Vec<String>| {
        let mut probe = Command::new(&words[0]);
        probe.args(&words[1..]).arg("true").stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    };
    // As root, or as the root of a user namespace where that may mount.
    let Some(words) = ["-m", "-rm"].map(through).into_iter().find(works) else {
        let why = "no file system can be mounted here: neither as root nor in a user namespace";
        Missing::new("mounts", why).skip(test);
        return None;
    };
    let peer = Peer::spawn(command(&words, &folder.join("events.db"), OPTIONS));
    peer.opened().unwrap();
    let inside = folder.strip_prefix("/").unwrap();
    let seen = Path::new("/proc").join(peer.id().to_string()).join("root");
    Some((peer, seen.join(inside)))
}

/// How many looks of consumers have failed.
fn failed_looks(peer: &mut Peer) -> u64 {
    let answers = peer.obey("count events.dequeue.error").others;
    answers[0].strip_prefix("count ").unwrap().parse().unwrap()
}

#[test]
fn g15_on_a_full_disk_nothing_is_lost_nobody_turns_in_circles_and_room_heals_everything() {
    let folder = tempfile::tempdir().unwrap();
    let test = "full_disk::g15_on_a_full_disk_nothing_is_lost_nobody_turns_in_circles_and_room_heals_everything";
    let Some((mut peer, disk)) = on_small_disk(test, folder.path()) else {
        return;
    };
    let ballast = disk.join("ballast");
    fs::write(&ballast, vec![1; BALLAST_BYTES]).unwrap();
    let mut stored = peer.obey("batch orders 0 20 4000").published;
    let (more, beyond) = fill(&mut peer, 20);
    stored.extend(more);
    refused(&mut peer, &format!("batch orders {beyond} 50 4000"));
    assert!(stored.len() > 40, "it was full at once: {stored:?}");
    // The last bytes too.
    let last = disk.join("last");
    let mut rest = OpenOptions::new();
    let mut rest = rest.append(true).create(true).open(&last).unwrap();
    while rest.write_all(&[1; 4096]).is_ok() {}

    // Consumers go on while the log has room for what they write. One that finds none is told,
    // and waits longer after each look that failed.
    let mut taken = BTreeSet::new();
    let mut unsettled = Vec::new();
    let (start, ran) = (Instant::now(), kernel::run_time(peer.id()));
    while start.elapsed() < Duration::from_secs(3) {
        let answers = peer.obey("take orders 1 2");
        assert!(answers.done, "it died");
        match answers.others[0].split(' ').collect::<Vec<_>>()[..] {
            ["err", "StorageFull", ..] | ["none"] => {}
            ["got", id, n, "1"] => {
                assert!(taken.insert(n.parse().unwrap()), "{n} again");
                let acked = peer.obey(&format!("ack {id}"));
                if acked.others != ["acked"] {
                    assert_full(&acked);
                    unsettled.push(id.to_owned());
                }
            }
            _ => panic!("{answers:?}"),
        }
    }
    let (looks, took) = (failed_looks(&mut peer), start.elapsed());
    // 50, 100, 200, 400, 800 ms, then one second each; the row begins anew after each success.
    let most = 6 * (1 + taken.len() as u64) + took.as_secs();
    assert!(looks <= most, "{looks} looks failed in {took:?}");
    let ran = kernel::run_time(peer.id()).saturating_sub(ran);
    assert!(ran < took / 2, "it ran for {ran:?} of {took:?}");

    fs::remove_file(&ballast).unwrap();
    fs::remove_file(&last).unwrap();
    for id in unsettled {
        assert_eq!(peer.obey(&format!("ack {id}")).others, ["acked"]);
    }
    let healed = peer.obey("batch orders 6000 50 4000").published;
    assert_eq!(healed.len(), 50);
    stored.extend(healed);
    consume(&mut peer, stored.len() - taken.len(), &mut taken);
    assert!(taken.iter().eq(stored.keys()), "{taken:?} of {stored:?}");
    assert_eq!(peer.obey("stats orders").others, ["stats 0 0 0 0 0"]);
    assert_sound(&disk.join("events.db"));
    assert!(peer.obey("shutdown").done);
}
