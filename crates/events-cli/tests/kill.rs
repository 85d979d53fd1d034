//! `kill -9` at random moments: every id that `publish` printed is delivered.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

const CYCLES: usize = 20;

/// A process of the command whose output lines arrive through a channel.
struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_events"))
            .args(arguments)
            .args(["--config", "events.toml"])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            // `read_line` keeps the line's end, which tells a whole line from a cut one.
            let mut output = output;
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|read| read > 0) {
                let whole = line.ends_with('\n');
                let text = std::mem::take(&mut line);
                if !whole || tell.send(text.trim_end().to_owned()).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Feeds numbers until the process is gone.
    fn feed(&mut self) -> thread::JoinHandle<()> {
        let mut input = self.child.stdin.take().unwrap();
        thread::spawn(move || {
            for n in 0.. {
                if writeln!(input, "{{\"n\":{n}}}").is_err() {
                    return;
                }
            }
        })
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// What it has printed; complete once it is dead.
    fn printed(&self) -> Vec<String> {
        self.lines.iter().collect()
    }
}

fn id_of(line: &str) -> String {
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    event["event_id"].as_str().unwrap().to_owned()
}

#[test]
fn every_printed_id_is_delivered_whoever_is_killed() {
    let seed = std::env::var("EVENTS_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = "url = \"sqlite:kill.db\"\nlease_seconds = 0.5\npoll_interval = 0.02\n";
    fs::write(folder.join("events.toml"), config).unwrap();

    let mut promised = HashSet::new();
    let mut delivered = HashSet::new();
    for cycle in 0..CYCLES {
        let mut publisher = Process::start(folder, &["publish", "orders"]);
        let mut consumer = Process::start(folder, &["listen", "orders"]);
        let feeder = publisher.feed();
        // Both are at work before one is killed.
        let first_id = publisher
            .lines
            .recv_timeout(Duration::from_secs(30))
            .unwrap();
        let first_event = consumer
            .lines
            .recv_timeout(Duration::from_secs(30))
            .unwrap();
        promised.insert(first_id);
        delivered.insert(id_of(&first_event));
        thread::sleep(Duration::from_micros(random.u64(0..40_000))); // the random moment
        match cycle % 3 {
            0 => publisher.kill(),
            1 => consumer.kill(),
            _ => {
                publisher.kill();
                consumer.kill();
            }
        }
        publisher.kill();
        feeder.join().unwrap();
        consumer.kill();
        promised.extend(publisher.printed());
        delivered.extend(consumer.printed().iter().map(|line| id_of(line)));
    }

    // What is left comes to a last consumer, once the leases of the dead have ended.
    let mut last = Process::start(folder, &["listen", "orders", "--timeout", "5s"]);
    delivered.extend(last.printed().iter().map(|line| id_of(line)));
    assert!(last.child.wait().unwrap().success());
    let lost: Vec<_> = promised.difference(&delivered).collect();
    assert!(
        lost.is_empty(),
        "seed {seed}: {} of {} ids were lost: {lost:?}",
        lost.len(),
        promised.len()
    );
    assert!(
        promised.len() > CYCLES,
        "seed {seed}: nothing was published"
    );

    let database = Connection::open(folder.join("kill.db")).unwrap();
    let check: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok", "seed {seed}");
    let unsettled: i64 = database
        .query_row(
            "SELECT count(*) FROM sqlspec_event_queue WHERE status <> 4",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let dead: i64 = database
        .query_row("SELECT count(*) FROM sqlspec_event_queue_dead", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(
        (unsettled, dead),
        (0, 0),
        "seed {seed}: every event is acknowledged at last"
    );
}
