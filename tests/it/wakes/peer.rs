//! A publishing process, which is this one, and consuming processes.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use event_channels::{
    Backend as _, BoxSubscription, EventMessage, NewEvent, Next, RetryAfter, Settlement, Subscribe,
    Verdict, Wakes,
};
use events_queue_sqlite::{SqliteConfig, SqliteStore, open};
use tempfile::TempDir;

pub(super) const NEVER: Duration = Duration::from_secs(3600);
/// Far more than a busy machine needs for one event.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) type Backend = events_queue::QueueBackend<SqliteStore>;

/// The publishing process: this one.
pub(super) struct Publisher {
    pub(super) backend: Backend,
    pub(super) path: PathBuf,
    _runtime: tokio::runtime::Runtime,
    _folder: TempDir,
}

impl Publisher {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let mut config = SqliteConfig::file(&path);
        config.queue.poll_interval = NEVER;
        config.floor = NEVER;
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let backend = open(config, runtime.handle()).unwrap();
        assert_eq!(backend.capabilities().wakes, Wakes::Push);
        Self {
            backend,
            path,
            _runtime: runtime,
            _folder: folder,
        }
    }

    pub(super) fn publish(&self, event: NewEvent) {
        self.backend.publish(vec![event]).wait().unwrap();
    }

    pub(super) fn publish_now(&self) {
        self.publish(NewEvent::new("orders", micros_now()));
    }

    pub(super) fn subscribe(&self, prefetch: usize) -> BoxSubscription {
        let mut request = Subscribe::new("orders".try_into().unwrap());
        request.prefetch = Some(prefetch);
        self.backend.subscribe(request).wait().unwrap()
    }

    pub(super) fn nack(&self, message: &EventMessage, retry: RetryAfter) {
        let settlement = Settlement {
            event_id: message.event_id,
            receipt: message.receipt(),
            verdict: Verdict::Nack {
                retry,
                reason: None,
            },
        };
        let answers = self.backend.settle(vec![settlement]).wait().unwrap();
        answers.into_iter().for_each(|answer| {
            answer.unwrap();
        });
    }

    pub(super) fn bell(&self) -> PathBuf {
        self.path.with_file_name("app.db-events-bell")
    }
}

/// A consuming process; it is killed when the test ends early.
pub(super) struct Listener {
    pub(super) child: Child,
    pub(super) lines: Receiver<String>,
}

impl Listener {
    /// Starts a process that looks in vain, and then waits.
    pub(super) fn start(path: &Path, floor: Duration) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_events-test-bell"))
            .arg(path)
            .args(["orders", &floor.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let listener = Self { child, lines };
        assert_eq!(listener.line("the first look"), "ready");
        listener
    }

    pub(super) fn line(&self, what: &str) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("{what} was slept over"))
    }

    /// How long ago the next event was sent.
    pub(super) fn latency(&self, what: &str) -> Duration {
        let line = self.line(what);
        let (_, micros) = line.split_once(' ').unwrap();
        // A clock that steps back between two processes is no lost wake.
        Duration::from_micros(micros.parse::<i64>().unwrap().max(0).unsigned_abs())
    }

    pub(super) fn stop(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn micros_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_micros()).unwrap()
}

pub(super) fn take(events: &mut BoxSubscription) -> EventMessage {
    match events.wait_next(Some(Instant::now() + PATIENCE)) {
        Next::Event(message) => message.unwrap(),
        other => panic!("no event: {other:?}"),
    }
}

#[expect(
    clippy::print_stdout,
    reason = "figures for whoever runs with --nocapture"
)]
pub(super) fn print_percentiles(what: &str, mut latencies: Vec<Duration>) {
    latencies.sort_unstable();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
    println!(
        "{what}: {} events, p50 {:?}, p90 {:?}, p99 {:?}, max {:?}",
        latencies.len(),
        at(50),
        at(90),
        at(99),
        at(100)
    );
}
