//! Records what a process does, so that it is on file before the process can be killed for it.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use event_channels::{Error, EventId, EventMessage, Settled};

use super::record::{Op, Record, Row, Sent, Verdict, What};
use super::{Answer, Delivered, Moment, Outcome, Recorded};

/// The recorder of one process.
///
/// A line is written with one call, before an operation begins and after it has ended, so a kill
/// leaves whole lines and at most one torn one. Writing panics when it fails: a test without its
/// history proves nothing.
pub struct Recorder {
    process: String,
    calls: AtomicU64,
    out: Mutex<Box<dyn Write + Send>>,
}

/// An operation that has begun. Dropped without an answer, its outcome is unknown.
#[derive(Debug)]
#[must_use = "an operation that has ended is recorded with its answer"]
pub struct Call(u64);

/// A delivery, to be settled.
#[derive(Debug, Clone, Copy)]
pub struct Held(u64);

impl Recorder {
    /// Records to this writer under the name of a process.
    pub fn new(process: impl Into<String>, out: impl Write + Send + 'static) -> Self {
        let recorder = Self {
            process: process.into(),
            calls: AtomicU64::new(0),
            out: Mutex::new(Box::new(out)),
        };
        recorder.note(What::Started);
        recorder
    }

    /// Records to a new file.
    ///
    /// # Errors
    /// Those of creating it.
    pub fn create(process: impl Into<String>, path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)?;
        Ok(Self::new(process, file))
    }

    /// Events are about to be published.
    pub fn publishing(&self, channel: &str, events: Vec<Sent>) -> Call {
        let channel = channel.to_owned();
        self.invoke(Op::Publish { channel, events })
    }

    /// A publish has answered.
    pub fn published(&self, call: Call, answer: &Result<Vec<EventId>, Error>) {
        let answer = Outcome::of(answer, Vec::clone);
        self.answer(call, Answer::Published(answer));
    }

    /// A consumer is about to wait for an event.
    pub fn receiving(&self, consumer: u32, channel: &str, group: Option<&str>) -> Call {
        self.invoke(Op::Receive {
            consumer,
            channel: channel.to_owned(),
            group: group.map(str::to_owned),
        })
    }

    /// A wait is over: with an event, an error, or `None` for the end of the stream.
    pub fn received(&self, call: Call, answer: Option<&Result<EventMessage, Error>>) -> Held {
        let held = Held(call.0);
        let outcome = match answer {
            None => Outcome::Ok(None),
            Some(answer) => Outcome::of(answer, |message| Some(Delivered::of(message))),
        };
        self.answer(call, Answer::Received(outcome));
        held
    }

    /// A delivery is about to be settled.
    pub fn settling(&self, held: Held, verdict: Verdict) -> Call {
        let delivery = held.0;
        self.invoke(Op::Settle { delivery, verdict })
    }

    /// A verdict was answered.
    pub fn settled(&self, call: Call, answer: &Result<Settled, Error>) {
        let outcome = Outcome::of(answer, |settled| Recorded::from(*settled));
        self.answer(call, Answer::Settled(outcome));
    }

    /// This process is about to kill another one.
    pub fn killing(&self, process: &str) {
        self.note(What::Killed(process.to_owned()));
    }

    /// What the tables hold at last.
    pub fn rows(&self, rows: impl IntoIterator<Item = Row>) {
        rows.into_iter().for_each(|row| self.note(What::Row(row)));
        self.note(What::RowsEnd);
    }

    /// The process ends by itself.
    pub fn ended(&self) {
        self.note(What::Ended);
    }

    /// An operation begins; for those that have no method of their own.
    pub fn invoke(&self, op: Op) -> Call {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        self.note(What::Invoke { call, op });
        Call(call)
    }

    /// An operation has ended.
    pub fn answer(&self, call: Call, answer: Answer) {
        let Call(call) = call;
        self.note(What::Return { call, answer });
    }

    fn note(&self, what: What) {
        let record = Record::new(Moment::now(), &self.process, what);
        let mut line = serde_json::to_vec(&record).expect("a record is plain data");
        line.push(b'\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(&line).expect("the history can be written");
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}
