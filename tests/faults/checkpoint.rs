//! A process dies while the log is copied into the database: at its n-th write to the file, and at
//! its flush. In a database with a log nothing else writes to the file itself.

use std::path::Path;

use events_testkit::strace;

use crate::peer::{Peer, assert_sound, command};
use crate::watch::Watch;

/// Each commit is in the log before it is answered, and a kill is no loss of power.
const OPTIONS: &str = "durability = \"process\"";
const EVENTS: u64 = 200;

/// What makes the log be copied.
#[derive(Debug, Clone, Copy)]
enum Copied {
    /// The process has committed nothing for a second.
    AtRest,
    /// The log has grown by 16 MiB.
    UnderLoad,
    /// The database is closed.
    AtTheEnd,
}

/// Answers whether the process died of it.
fn dies_at(call: &str, n: usize, copied: Copied) -> bool {
    let what = format!("{copied:?}: {call} {n}");
    let folder = crate::upkeep::folder();
    let file = folder.path().join("events.db");
    // Made by another process, so that the switch to the log is not among the writes.
    let mut maker = Peer::start(&file, OPTIONS);
    maker.opened().unwrap();
    assert!(maker.obey("shutdown").done);
    maker.end();

    let inject = format!("inject={call}:signal=KILL:when={n}");
    let mut words = strace::words("/dev/null".as_ref(), &[&format!("trace={call}"), &inject]);
    words.extend(["-P".into(), file.clone().into_os_string()]);
    let mut peer = Peer::spawn(command(&words, &file, OPTIONS));
    peer.opened().unwrap();
    let mut published = 0;
    let mut publish = |peer: &mut Peer, count: u64, bytes: u64| {
        let answers = peer.obey(&format!("batch orders {published} {count} {bytes}"));
        published += answers.published.len() as u64;
        answers.done
    };
    let lives = match copied {
        Copied::AtRest => publish(&mut peer, EVENTS, 4000) && !ended(&mut peer, &file),
        Copied::UnderLoad => {
            (0..24).all(|_| publish(&mut peer, 100, 8500)) && peer.obey("shutdown").done
        }
        Copied::AtTheEnd => publish(&mut peer, EVENTS, 4000) && peer.obey("shutdown").done,
    };
    drop(peer);

    assert!(published > 0, "{what}: it died too early");
    assert_sound(&file);
    let (seen, stats) = Watch::start(&file, "").drain();
    let stored = seen.len() as u64;
    assert!(seen.keys().copied().eq(0..stored), "{what}: a hole");
    // Of the last batch not every answer, or none, was told.
    let batch = match copied {
        Copied::UnderLoad => 100,
        Copied::AtRest | Copied::AtTheEnd => EVENTS,
    };
    assert!(
        stored.is_multiple_of(batch) && (published..=published + batch).contains(&stored),
        "{what}: {stored} of {published}"
    );
    assert_eq!((stats.acked, stats.dead), (stored, 0), "{what}");
    assert_sound(&file);
    !lives
}

/// Waits until the process has died, or everything is copied.
fn ended(peer: &mut Peer, file: &Path) -> bool {
    let mut ended = false;
    crate::upkeep::until("neither dead nor copied", || {
        ended = !peer.obey("count events.publish").done;
        ended || crate::upkeep::is_copied(file)
    });
    ended
}

#[test]
fn g1_whoever_dies_while_the_log_is_copied_leaves_a_sound_file_with_every_event() {
    let test =
        "checkpoint::g1_whoever_dies_while_the_log_is_copied_leaves_a_sound_file_with_every_event";
    if !strace::available(test) {
        return;
    }
    let long = std::env::var_os("EVENTS_TEST_LONG").is_some();
    let points = |few: &[usize], all: usize| -> Vec<usize> {
        if long {
            (1..=all).collect()
        } else {
            few.to_vec()
        }
    };
    for (copied, writes) in [
        (Copied::AtTheEnd, points(&[1, 2, 7, 60, 150], 200)),
        (Copied::AtRest, points(&[1, 40, 190], 200)),
        (Copied::UnderLoad, points(&[1, 1000, 3000], 100)),
    ] {
        for n in writes {
            assert!(
                dies_at("pwrite64", n, copied),
                "{copied:?}: write {n} was never made"
            );
        }
    }
    // Between the copy and the note in the index that it was made.
    for copied in [Copied::AtTheEnd, Copied::AtRest] {
        assert!(
            dies_at("fdatasync,fsync", 1, copied),
            "{copied:?}: nothing was flushed"
        );
    }
}
