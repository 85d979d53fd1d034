//! A database file, the workers on it, and their histories.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use event_channels::{BackendKind, EventId, EventsConfig, GroupStats, NewEvent, blocking};
use events_testkit::Missing;
use events_testkit::history::{Expect, History, Lines, Recorder, Report, Sent};
use events_testkit::postgres::{self, Database, database};
use events_testkit::process::{PATIENCE, Process};
use events_testkit::sqlite::rows_at_rest;
use serde_json::Value;
use tempfile::TempDir;

use crate::order::{CHANNEL, Consume, Hostile, Migrate, Order, Publish, Work};

/// What workers are configured with, unless a test says otherwise.
pub(crate) const OPTIONS: &str = "poll_interval = 0.02";
const POSTGRES_OPTIONS: &str = "poll_interval = 0.2\nbackend = 'notify_queue'\nauto_migrate = true";

pub(crate) struct Run {
    folder: TempDir,
    histories: PathBuf,
    started: u32,
    recorder: Recorder,
    lines: Lines,
    /// Where the queue is, if it is not a file.
    database: Option<Database>,
}

impl Run {
    /// On PostgreSQL.
    pub(crate) fn on_postgres() -> Result<Self, Missing> {
        let mut run = Self::new();
        run.database = Some(database()?);
        Ok(run)
    }

    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let histories = folder.path().join("histories");
        fs::create_dir(&histories).unwrap();
        let lines = Lines::default();
        Self {
            folder,
            histories,
            started: 0,
            recorder: Recorder::new("test", lines.clone()),
            lines,
            database: None,
        }
    }

    /// A channel of the test itself.
    pub(crate) fn open(&self) -> blocking::EventChannel {
        let mut config = EventsConfig::new(self.url()).unwrap();
        if self.database.is_some() {
            config = config.backend(BackendKind::NotifyQueue).auto_migrate(true);
        }
        blocking::EventChannel::open(config).unwrap()
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("shared.db")
    }

    pub(crate) fn url(&self) -> String {
        match &self.database {
            Some(database) => database.url().to_owned(),
            None => format!("sqlite:{}", self.file().display()),
        }
    }

    /// An order for a worker with a name and a history of its own.
    pub(crate) fn work(&mut self, kind: &str) -> Work {
        self.started += 1;
        let name = format!("{kind}{}", self.started);
        Work {
            url: self.url(),
            options: match self.database {
                Some(_) => POSTGRES_OPTIONS.to_owned(),
                None => OPTIONS.to_owned(),
            },
            history: self.histories.join(&name),
            name,
            blocking: false,
            publish: Vec::new(),
            consume: Vec::new(),
        }
    }

    /// Tells that a process is killed, and kills it.
    pub(crate) fn kill(&self, worker: &mut Process) {
        self.recorder.killing(worker.name());
        worker.kill();
    }

    /// Publishes from the test itself.
    pub(crate) fn publish(
        &self,
        channel: &blocking::EventChannel,
        payloads: &[Value],
    ) -> Vec<EventId> {
        let sent = payloads.iter().map(Sent::new).collect();
        let call = self.recorder.publishing(CHANNEL, sent);
        let events = payloads
            .iter()
            .map(|payload| NewEvent::new(CHANNEL, payload));
        let answer = channel.publish_many(events);
        self.recorder.published(call, &answer);
        answer.unwrap()
    }

    /// Waits until the queue holds nothing that could still be delivered.
    pub(crate) fn drained(&self, channel: &blocking::EventChannel) -> GroupStats {
        let until = Instant::now() + PATIENCE;
        loop {
            let stats = channel.stats(CHANNEL).unwrap().total();
            if stats.ready + stats.delayed + stats.leased == 0 {
                return stats;
            }
            assert!(
                Instant::now() < until,
                "the queue is not drained: {stats:?}"
            );
            std::thread::sleep(Duration::from_millis(20)); // between two looks
        }
    }

    /// Records what the tables hold, once nobody is at work any more, and checks everything.
    pub(crate) fn check(&self, expect: &Expect) -> Report {
        self.recorder.rows(match &self.database {
            Some(database) => postgres::rows_at_rest(database.url()),
            None => rows_at_rest(&self.file()),
        });
        let mut history = History::of_folder(&self.histories);
        history.add_lines(&self.lines.bytes());
        history.check(expect)
    }
}

impl Drop for Run {
    /// A test that failed leaves what its processes wrote.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            let text = format!("what happened is in {}\n", self.folder.path().display());
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
}

impl Work {
    pub(crate) fn blocking(mut self, blocking: bool) -> Self {
        self.blocking = blocking;
        self
    }

    pub(crate) fn options(mut self, options: &str) -> Self {
        self.options = format!("{}\n{options}", self.options);
        self
    }

    /// Publishes so many events, or without end, so many in a call.
    pub(crate) fn publishes(mut self, events: Option<u64>, batch: u64) -> Self {
        let pause = Duration::ZERO;
        self.publish.push(Publish {
            batch,
            events,
            pause,
        });
        self
    }

    pub(crate) fn pausing(mut self, pause: Duration) -> Self {
        self.publish
            .iter_mut()
            .for_each(|order| order.pause = pause);
        self
    }

    pub(crate) fn consumes(mut self, consumers: usize, listen: bool) -> Self {
        let order = Consume {
            listen,
            takes: Duration::ZERO,
            nack_each: 0,
        };
        self.consume.extend(std::iter::repeat_n(order, consumers));
        self
    }

    pub(crate) fn handling_for(mut self, time: Duration) -> Self {
        self.consume.iter_mut().for_each(|order| order.takes = time);
        self
    }

    pub(crate) fn nacking(mut self, each: u64) -> Self {
        self.consume
            .iter_mut()
            .for_each(|order| order.nack_each = each);
        self
    }

    pub(crate) fn start(self) -> Process {
        let name = self.name.clone();
        Process::start(name, &mut worker(&Order::Work(self)))
    }
}

impl Hostile {
    pub(crate) fn start(self, name: &str) -> Process {
        Process::start(name, &mut worker(&Order::Hostile(self)))
    }
}

impl Migrate {
    pub(crate) fn start(self) -> Process {
        Process::start("migrator", &mut worker(&Order::Migrate(self)))
    }
}

fn worker(order: &Order) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_events-test-worker")));
    command.arg(serde_json::to_string(order).unwrap());
    command
}

/// All workers end by themselves, and none met an error.
pub(crate) fn finish(workers: impl IntoIterator<Item = Process>) {
    // All are told before one is waited for.
    let mut workers: Vec<Process> = workers.into_iter().collect();
    workers.iter_mut().for_each(|worker| drop(worker.input()));
    for mut worker in workers {
        let status = worker.wait();
        assert!(
            status.success(),
            "{}: {status}, {:?}",
            worker.name(),
            worker.unread()
        );
    }
}
