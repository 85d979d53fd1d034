//! `kill -9` of the command at random moments: every id that `publish` printed is delivered.
//!
//! What the command prints is translated into a history. It does not print its acks, so what
//! became of them is looked up in the tables at last.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use events_testkit::history::{
    Answer, Call, Delivered, Expect, History, Lines, Outcome, Recorder, Sent, State, hash,
};
use events_testkit::process::{PATIENCE, Process};
use events_testkit::seed;
use events_testkit::sqlite::rows_at_rest;
use rusqlite::Connection;
use serde_json::{Value, json};

const CONFIG: &str = "url = \"sqlite:kill.db\"\nlease_seconds = 0.5\npoll_interval = 0.02\n";
/// The publisher is fed so many events ahead of its answers.
const AHEAD: usize = 300;

/// Who is killed, and what they were doing.
#[derive(Debug, Clone, Copy)]
struct Cycle {
    publisher_dies: bool,
    consumer_dies: bool,
    /// `publish --batch`.
    batch: Option<usize>,
    /// `listen --exec`.
    exec: bool,
    /// Between two calls that the publisher is fed. Most cycles pause, because what is published
    /// must also be consumed.
    pause: Duration,
    moment: Duration,
}

impl Cycle {
    fn random(random: &mut fastrand::Rng) -> Self {
        let victims = random.u8(0..3);
        Self {
            publisher_dies: victims != 1,
            consumer_dies: victims != 0,
            batch: random.bool().then_some(10),
            exec: random.bool(),
            pause: Duration::from_millis(random.u64(0..4)),
            moment: Duration::from_micros(random.u64(0..40_000)),
        }
    }

    fn go(self, number: u32, folder: &Path, lines: &Lines, test: &Recorder) {
        let mut publisher = Publisher::start(format!("publisher{number}"), folder, &self, lines);
        let exec: &[&str] = if self.exec { &["--exec", "true"] } else { &[] };
        let mut consumer = consumer(format!("consumer{number}"), folder, exec, lines);
        // Both are at work before one is killed.
        let _ = publisher.process.line();
        let _ = consumer.line();
        thread::sleep(self.moment); // the random moment
        for (process, dies) in [
            (&mut publisher.process, self.publisher_dies),
            (&mut consumer, self.consumer_dies),
        ] {
            if dies {
                test.killing(process.name());
                process.kill();
            }
        }
        if !self.consumer_dies {
            consumer.terminate();
            assert!(consumer.wait().success());
        }
        publisher.end(!self.publisher_dies);
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_events"));
    command
        .args(arguments)
        .args(["--config", "events.toml"])
        .current_dir(folder);
    command
}

/// A publisher that is fed numbers.
struct Publisher {
    process: Process,
    feeder: JoinHandle<()>,
    stop: SyncSender<()>,
}

impl Publisher {
    fn start(name: String, folder: &Path, cycle: &Cycle, lines: &Lines) -> Self {
        let (count, pause) = (cycle.batch.unwrap_or(1), cycle.pause);
        let number = count.to_string();
        let mut arguments = vec!["publish", "orders"];
        if cycle.batch.is_some() {
            arguments.extend(["--batch", &number]);
        }
        let recorder = std::sync::Arc::new(Recorder::new(&*name, lines.clone()));
        let (begun, calls) = sync_channel(AHEAD / count);
        let mut answers = Answers {
            recorder: std::sync::Arc::clone(&recorder),
            calls,
            ids: Vec::new(),
            count,
        };
        let on_line = move |id: &str| answers.id(id);
        let mut process = Process::start_with(&*name, &mut command(folder, &arguments), on_line);
        let mut input = process.input();
        let (stop, stopped) = sync_channel(1);
        let feeder = thread::spawn(move || {
            for first in (0..).step_by(count) {
                let payloads: Vec<Value> = (first..first + count)
                    .map(|n| json!({"by": name, "n": n}))
                    .collect();
                let call = recorder.publishing("orders", payloads.iter().map(Sent::new).collect());
                if begun.send(call).is_err() || stopped.try_recv().is_ok() {
                    return;
                }
                let text: String = payloads
                    .iter()
                    .map(|payload| format!("{payload}\n"))
                    .collect();
                if input.write_all(text.as_bytes()).is_err() {
                    return;
                }
                thread::sleep(pause);
            }
        });
        Self {
            process,
            feeder,
            stop,
        }
    }

    /// Ends it: it has been killed, or comes to the end of its input.
    fn end(mut self, alive: bool) {
        let _ = self.stop.try_send(());
        if alive {
            self.feeder.join().unwrap();
            assert!(self.process.wait().success());
        } else {
            drop(self.process);
            self.feeder.join().unwrap();
        }
    }
}

/// Puts printed ids and publishes together; ids come in the order of the lines.
struct Answers {
    recorder: std::sync::Arc<Recorder>,
    calls: Receiver<Call>,
    ids: Vec<event_channels::EventId>,
    count: usize,
}

impl Answers {
    fn id(&mut self, id: &str) {
        self.ids.push(id.parse().unwrap());
        if self.ids.len() == self.count {
            self.answer();
        }
    }

    fn answer(&mut self) {
        let call = self.calls.recv().expect("what is printed was fed before");
        let ids = std::mem::take(&mut self.ids);
        self.recorder
            .answer(call, Answer::Published(Outcome::Ok(ids)));
    }
}

impl Drop for Answers {
    /// A batch of which some ids were printed is stored.
    fn drop(&mut self) {
        if !self.ids.is_empty() {
            self.answer();
        }
    }
}

/// A consumer whose lines are deliveries.
fn consumer(name: String, folder: &Path, more: &[&str], lines: &Lines) -> Process {
    let recorder = Recorder::new(&*name, lines.clone());
    let mut waiting = Some(recorder.receiving(0, "orders", None));
    let on_line = move |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| event[key].as_str().unwrap();
        let lease: event_channels::Timestamp = text("lease_expires_at").parse().unwrap();
        let delivered = Delivered {
            event: text("event_id").parse().unwrap(),
            attempt: event["attempts"].as_u64().unwrap().try_into().unwrap(),
            fence: None,
            lease_until: Some(lease.as_microsecond()),
            payload: hash(&event["payload"]),
        };
        let answer = Answer::Received(Outcome::Ok(Some(delivered)));
        recorder.answer(waiting.take().unwrap(), answer);
        waiting = Some(recorder.receiving(0, "orders", None));
    };
    let arguments = [&["listen", "orders"], more].concat();
    Process::start_with(&*name, &mut command(folder, &arguments), on_line)
}

/// Waits until every event is settled.
fn drained(file: &Path) {
    let database = Connection::open(file).unwrap();
    let until = Instant::now() + PATIENCE;
    loop {
        let sql = "SELECT count(*) FROM sqlspec_event_queue WHERE status <> 14";
        let left: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
        if left == 0 {
            return;
        }
        assert!(Instant::now() < until, "{left} events are not handled");
        thread::sleep(Duration::from_millis(20)); // between two looks
    }
}

/// Guarantees 1 to 7, of the command.
#[test]
fn g1_to_g7_every_printed_id_is_delivered_whoever_is_killed() {
    let seed = seed();
    let context = format!("EVENTS_TEST_SEED={seed}");
    let cycles = events_testkit::cycles(80, 2_000);
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("events.toml"), CONFIG).unwrap();
    let lines = Lines::default();
    let test = Recorder::new("test", lines.clone());
    for number in 0..cycles {
        let cycle = Cycle::random(&mut random);
        let go = std::panic::AssertUnwindSafe(|| cycle.go(number, folder, &lines, &test));
        std::panic::catch_unwind(go)
            .unwrap_or_else(|_| panic!("{context}, cycle {number}: {cycle:?}"));
    }
    // What is left comes to a last consumer, once the leases of the dead have ended.
    let mut last = consumer("last".to_owned(), folder, &[], &lines);
    drained(&folder.join("kill.db"));
    last.terminate();
    assert!(last.wait().success(), "{context}");

    test.rows(rows_at_rest(&folder.join("kill.db")));
    let mut history = History::default();
    history.add_lines(&lines.bytes());
    let report = history.check(&Expect::new().acks_are_recorded(false));
    report.assert_clean(&context);
    let everything = report.published + report.recovered;
    assert_eq!(
        report.rest,
        [(State::Acked, everything)].into(),
        "{context}: {report}"
    );
    assert!(report.published > 80, "{context}: {report}");
}
