//! Several processes on one file.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use event_channels::{NewEvent, blocking};

const PROCESSES: usize = 4;
const EVENTS: usize = 20_000;
/// Far more than a busy machine needs between two events.
const PATIENCE: Duration = Duration::from_secs(60);

/// 4 processes with 4 consumers each: every event is handled exactly once, none is lost, and
/// nobody is told that the database is locked.
#[test]
fn four_processes_with_four_consumers_handle_each_event_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("shared.db").display());
    let channel = blocking::EventChannel::open(&*url).unwrap();
    let (tell, lines) = mpsc::channel();
    let mut children: Vec<Child> = (0..PROCESSES).map(|_| worker(&url, &tell)).collect();
    drop(tell);

    let mut published = HashMap::new();
    for start in (0..EVENTS).step_by(100) {
        let ids = channel
            .publish_many((start..start + 100).map(|n| NewEvent::new("orders", n)))
            .unwrap();
        published.extend(ids.into_iter().map(|id| id.to_string()).zip(start..));
    }

    let mut handled = HashSet::new();
    let mut by_process = [0; PROCESSES];
    let mut note = |(process, line): (usize, String)| {
        let (id, payload) = line.split_once(' ').unwrap();
        assert_eq!(
            published.get(id),
            payload.parse().ok().as_ref(),
            "an event from nowhere: {line}"
        );
        assert!(handled.insert(id.to_owned()), "handled twice: {line}");
        by_process[process] += 1;
        handled.len()
    };
    while note(lines.recv_timeout(PATIENCE).expect("an event was lost")) < EVENTS {}
    for child in &mut children {
        drop(child.stdin.take());
    }
    for child in &mut children {
        assert!(child.wait().unwrap().success(), "a worker met an error");
    }
    lines.into_iter().for_each(|line| {
        note(line);
    });
    assert!(
        by_process.iter().all(|count| *count > 0),
        "one process did nothing: {by_process:?}"
    );
    let stats = channel.stats("orders").unwrap().total();
    assert_eq!(
        (stats.acked, stats.ready, stats.leased),
        (EVENTS as u64, 0, 0)
    );
}

/// An event that kills its consumer again and again becomes a dead letter; its neighbours, which
/// were claimed in the same batch, do not.
#[test]
fn an_event_that_kills_its_process_takes_no_neighbour_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("poison.db").display());
    let channel = blocking::EventChannel::open(&*url).unwrap();
    let payloads = (0..10).map(|n| {
        if n == 4 {
            "poison".to_owned()
        } else {
            n.to_string()
        }
    });
    let ids = channel
        .publish_many(payloads.map(|payload| NewEvent::new("orders", payload)))
        .unwrap();
    let options = "max_attempts = 4\nlease_seconds = 0.2\nprefetch = 10";
    let mut deaths = 0;
    let stats = loop {
        let mut child = Command::new(env!("CARGO_BIN_EXE_events-test-worker"))
            .args([&*url, "orders", "1", options])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let stats = loop {
            let stats = channel.stats("orders").unwrap().total();
            if stats.dead + stats.acked == 10 {
                break Some(stats);
            }
            if child.try_wait().unwrap().is_some() {
                break None;
            }
            thread::sleep(Duration::from_millis(5)); // between two looks
        };
        drop(child.stdin.take());
        child.wait().unwrap();
        match stats {
            Some(stats) => break stats,
            None => deaths += 1,
        }
        assert!(deaths <= 4, "it was claimed more than max_attempts times");
    };
    assert_eq!((stats.dead, stats.acked, deaths), (1, 9, 4));
    let admin = channel.admin().unwrap();
    let dead = admin
        .dead_letters("orders".try_into().unwrap(), 10)
        .wait()
        .unwrap();
    assert_eq!((dead[0].event_id, dead[0].attempts), (ids[4], 4));
    assert_eq!(dead[0].reason, "max_attempts");
}

fn worker(url: &str, tell: &mpsc::Sender<(usize, String)>) -> Child {
    static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % PROCESSES;
    let mut child = Command::new(env!("CARGO_BIN_EXE_events-test-worker"))
        .args([url, "orders", "4"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let tell = tell.clone();
    thread::spawn(move || {
        for line in output.lines() {
            if tell.send((number, line.unwrap())).is_err() {
                return;
            }
        }
    });
    child
}
