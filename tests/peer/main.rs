//! A process that does what it is told, for tests that kill it or starve it: one command a line on
//! standard input, answers on standard output, each command's last answer `done`.
//!
//! `events-test-peer FILE OPTIONS`, options as TOML. The first answer is `open`.
//!
//! | Command | Does | Answers |
//! | --- | --- | --- |
//! | `publish CHANNEL FROM COUNT BYTES` | publishes numbers one after the other, padded | `ok NUMBER ID` each |
//! | `lead CHANNEL FROM COUNT BYTES` | the same on a thread that may block | `ok NUMBER ID` each |
//! | `group CHANNEL FROM COUNT BYTES` | publishes numbers as jobs of one transaction | `ok NUMBER ID` each |
//! | `batch CHANNEL FROM COUNT BYTES` | publishes numbers in one call | `ok NUMBER ID` each |
//! | `take CHANNEL COUNT SECONDS` | receives events, waiting so long for each | `got ID NUMBER ATTEMPTS` each, or `none` |
//! | `ack ID` | acknowledges what was taken | `acked` |
//! | `nack ID` | gives it back for an immediate retry | `nacked` |
//! | `stats CHANNEL` | counts | `stats READY DELAYED LEASED ACKED DEAD` |
//! | `health` | does a round trip | |
//! | `count NAME` | sums a counter | `count NUMBER` |
//! | `pages NUMBER` | limits the pages of the file | |
//! | `status` | looks at the tables on a connection of its own | |
//! | `another` | opens the file a second time, and closes it | |
//! | `hold` | takes the write lock | |
//! | `let_go` | gives it back | |
//! | `shutdown` | closes and ends | |
//!
//! An error is answered as `err KIND TEXT`, and the next step is tried.

use std::collections::HashMap;
use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use event_channels::{
    Backend as _, Error, EventChannel, EventId, EventMessage, Events, EventsConfig, NewEvent,
    Result, RetryAfter,
};
use events_queue_sqlite::SqliteConfig;
use rusqlite::Connection;
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, options] = &arguments[..] else {
        let _ = writeln!(std::io::stderr(), "usage: events-test-peer FILE OPTIONS");
        return ExitCode::from(2);
    };
    let runtime = Runtime::new().expect("a runtime can be made");
    let mut peer = match Peer::open(runtime, file, options) {
        Ok(peer) => peer,
        Err(error) => {
            fails(&error);
            return ExitCode::FAILURE;
        }
    };
    say("open");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("commands are text");
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Err(error) = peer.obey(&words) {
            fails(&error);
        }
        say("done");
        if words == ["shutdown"] {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// Nothing can be done about a parent that has gone.
fn say(answer: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{answer}").and_then(|()| out.flush());
}

fn fails(error: &Error) {
    say(&format!("err {:?} {error}", error.kind()));
}

struct Peer {
    file: String,
    config: EventsConfig,
    runtime: Runtime,
    channel: EventChannel,
    streams: HashMap<String, Events>,
    held: HashMap<EventId, EventMessage>,
    /// A connection of somebody else in the same process, in a transaction that writes.
    holding: Option<Connection>,
}

impl Peer {
    fn open(runtime: Runtime, file: &str, options: &str) -> Result<Self> {
        let config = EventsConfig::new(format!("sqlite:{file}"))?.with_toml_str(options)?;
        let channel = runtime.block_on(config.clone().open())?;
        Ok(Self {
            file: file.to_owned(),
            config,
            holding: None,
            runtime,
            channel,
            streams: HashMap::new(),
            held: HashMap::new(),
        })
    }

    fn obey(&mut self, words: &[&str]) -> Result<()> {
        match *words {
            ["publish", channel, from, count, bytes] => {
                for n in numbers(from, count) {
                    let publish = self.channel.publish(channel, payload(n, bytes));
                    published(n, self.runtime.block_on(publish));
                }
            }
            ["lead", channel, from, count, bytes] => {
                let blocking = self.channel.blocking()?;
                for n in numbers(from, count) {
                    published(n, blocking.publish(channel, payload(n, bytes)));
                }
            }
            ["group", channel, from, count, bytes] => self.group(channel, from, count, bytes)?,
            ["batch", channel, from, count, bytes] => {
                let event = |n| NewEvent::new(channel, payload(n, bytes));
                let publish = self.channel.publish_many(numbers(from, count).map(event));
                let ids = self.runtime.block_on(publish)?;
                for (n, id) in numbers(from, count).zip(ids) {
                    published(n, Ok(id));
                }
            }
            ["take", channel, count, seconds] => self.take(channel, number(count), seconds)?,
            ["ack", id] => {
                let message = &self.held[&id.parse::<EventId>()?];
                let _ = self.runtime.block_on(self.channel.ack(message))?;
                say("acked");
            }
            ["nack", id] => {
                let message = &self.held[&id.parse::<EventId>()?];
                let nack = self
                    .channel
                    .nack(message, RetryAfter::Delay(Duration::ZERO));
                let _ = self.runtime.block_on(nack)?;
                say("nacked");
            }
            ["stats", channel] => {
                let stats = self.runtime.block_on(self.channel.stats(channel))?.total();
                say(&format!(
                    "stats {} {} {} {} {}",
                    stats.ready, stats.delayed, stats.leased, stats.acked, stats.dead
                ));
            }
            ["health"] => drop(self.runtime.block_on(self.channel.health())?),
            ["count", name] => {
                let is_it = |key: &&String| key.ends_with(&format!(".{name}"));
                let snapshot = self.channel.telemetry_snapshot();
                let sum: f64 = snapshot.keys().filter(is_it).map(|key| snapshot[key]).sum();
                say(&format!("count {sum}"));
            }
            ["pages", count] => {
                let pages = u32::try_from(number(count)).expect("a number of pages");
                events_queue_sqlite::limit_pages(pages);
            }
            ["status"] => drop(self.runtime.block_on(self.config.migrate_status())?),
            ["another"] => {
                // Its tables are there; making them would need the write lock.
                let config = self.config.clone().auto_migrate(false);
                let another = self.runtime.block_on(config.open())?;
                let health = self.runtime.block_on(another.health());
                self.runtime.block_on(another.shutdown())?;
                drop(health?);
            }
            ["hold"] => {
                let connection = Connection::open(&self.file).expect("the file can be opened");
                let begun = connection.execute_batch("BEGIN IMMEDIATE");
                begun.expect("nobody else writes");
                self.holding = Some(connection);
            }
            ["let_go"] => self.holding = None,
            ["shutdown"] => {
                self.streams.clear();
                self.runtime.block_on(self.channel.shutdown())?;
            }
            _ => panic!("no such command: {words:?}"),
        }
        Ok(())
    }

    /// What is queued and not waited for yet goes into the transaction of the first wait.
    fn group(&self, channel: &str, from: &str, count: &str, bytes: &str) -> Result<()> {
        let backend = {
            let _inside = self.runtime.enter();
            events_queue_sqlite::open(SqliteConfig::file(&self.file), self.runtime.handle())?
        };
        let publish = |n| backend.publish(vec![NewEvent::new(channel, payload(n, bytes))]);
        let mut publishes: Vec<_> = numbers(from, count).map(|n| (n, publish(n))).collect();
        publishes.reverse();
        for (n, publish) in publishes {
            published(n, publish.wait().map(|ids| ids[0]));
        }
        backend.shutdown().wait()
    }

    fn take(&mut self, channel: &str, count: u64, seconds: &str) -> Result<()> {
        let limit = Duration::from_secs_f64(seconds.parse().expect("a number of seconds"));
        if !self.streams.contains_key(channel) {
            let events = self.runtime.block_on(self.channel.iter_events(channel))?;
            self.streams.insert(channel.to_owned(), events);
        }
        let events = self
            .streams
            .get_mut(channel)
            .expect("it was put there if it was not");
        for _ in 0..count {
            let next = async { tokio::time::timeout(limit, events.next()).await };
            match self.runtime.block_on(next) {
                Ok(Some(Ok(message))) => {
                    say(&format!(
                        "got {} {} {}",
                        message.event_id, message.payload["n"], message.attempts
                    ));
                    self.held.insert(message.event_id, message);
                }
                Ok(Some(Err(error))) => fails(&error),
                Ok(None) => {
                    self.streams.remove(channel);
                    say("none");
                    break;
                }
                Err(_) => {
                    say("none");
                    break;
                }
            }
        }
        Ok(())
    }
}

fn published(n: u64, answer: Result<EventId>) {
    match answer {
        Ok(id) => say(&format!("ok {n} {id}")),
        Err(error) => fails(&error),
    }
}

fn number(word: &str) -> u64 {
    word.parse()
        .unwrap_or_else(|_| panic!("{word} is no number"))
}

fn numbers(from: &str, count: &str) -> std::ops::Range<u64> {
    let from = number(from);
    from..from + number(count)
}

fn payload(n: u64, bytes: &str) -> serde_json::Value {
    let bytes = usize::try_from(number(bytes)).expect("it fits the memory");
    serde_json::json!({"n": n, "pad": "x".repeat(bytes)})
}
