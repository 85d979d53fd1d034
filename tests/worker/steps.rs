//! What the tasks and the threads of a worker have in common.

use event_channels::{EventMessage, EventsConfig, NewEvent, Result};
use events_testkit::history::{Recorder, Sent};
use serde_json::{Value, json};

use crate::order::{CHANNEL, Consume, Publish, Work};
use crate::say;

impl Work {
    pub(crate) fn config(&self) -> Result<EventsConfig> {
        EventsConfig::new(&*self.url)?.with_toml_str(&self.options)
    }

    pub(crate) fn recorder(&self) -> Recorder {
        Recorder::create(&*self.name, &self.history).expect("the history can be created")
    }
}

/// The events of one publisher, in calls. No two payloads of a history are equal.
pub(crate) struct Batches<'a> {
    name: &'a str,
    publisher: usize,
    order: &'a Publish,
    published: u64,
}

impl<'a> Batches<'a> {
    pub(crate) fn new(name: &'a str, publisher: usize, order: &'a Publish) -> Self {
        Self {
            name,
            publisher,
            order,
            published: 0,
        }
    }

    fn payload(&self, n: u64) -> Value {
        json!({"by": self.name, "publisher": self.publisher, "n": n})
    }
}

impl Iterator for Batches<'_> {
    type Item = (Vec<Sent>, Vec<NewEvent>);

    fn next(&mut self) -> Option<Self::Item> {
        let left = self
            .order
            .events
            .map_or(u64::MAX, |events| events - self.published);
        let numbers = self.published..self.published + self.order.batch.min(left);
        self.published = numbers.end;
        let event = |n| {
            let payload = self.payload(n);
            (Sent::new(&payload), NewEvent::new(CHANNEL, payload))
        };
        (!numbers.is_empty()).then(|| numbers.map(event).unzip())
    }
}

/// Says a word the first time.
#[derive(Default)]
pub(crate) struct Once(bool);

impl Once {
    pub(crate) fn say(&mut self, word: &str) {
        if !std::mem::replace(&mut self.0, true) {
            say(word);
        }
    }
}

/// What a publisher says of how it goes.
#[derive(Default)]
pub(crate) struct Progress {
    published: bool,
    refused: bool,
}

impl Progress {
    pub(crate) fn published(&mut self) {
        if std::mem::take(&mut self.refused) {
            say("resumed");
        } else if !std::mem::replace(&mut self.published, true) {
            say("published");
        }
    }

    pub(crate) fn refused(&mut self) {
        if !std::mem::replace(&mut self.refused, true) {
            say("refused");
        }
    }
}

/// Ends the process if the event says so.
pub(crate) fn die_of(message: &EventMessage) {
    if message.payload == "poison" {
        std::process::abort();
    }
}

impl Consume {
    /// Whether the n-th event is to be nacked.
    pub(crate) fn nacks(&self, n: u64) -> bool {
        self.nack_each > 0 && n % self.nack_each == self.nack_each - 1
    }
}
