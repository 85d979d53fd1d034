//! The reference store and a store under test, given the same steps.

mod claim;
mod settle;

use std::fmt::Debug;
use std::time::Duration;

use events_core::{
    ChannelName, EventId, GroupName, HoldToken, NewEvent, PublishOptions, Stats, Timestamp,
};
use events_queue::{Clock, MemoryStore, NewRow, QueueBackend, QueueConfig, QueueStore};
use proptest::test_runner::TestCaseError;
use serde_json::json;
use tokio::runtime::Runtime;

use super::step::{Event, Setup, Step};
use super::tally::Tally;

const LEASE: Duration = Duration::from_secs(10);
/// More than a case stores.
const ALL: usize = 500;

/// The channel that is only used to wait for what is under way.
const FENCE: usize = 2;

type Agreed = Result<(), TestCaseError>;

pub(super) struct Pair<S: QueueStore, O> {
    pub(super) tally: Tally,
    reference: MemoryStore,
    clock: Clock,
    config: QueueConfig,
    open: O,
    /// `None` only while it is opened again.
    backend: Option<QueueBackend<S>>,
    /// Never driven, so that nothing but the steps happens.
    runtime: Runtime,
    channels: Vec<ChannelName>,
    queues: usize,
    held: Vec<Hold>,
    settled: Vec<Hold>,
    published: u64,
}

/// An event that was claimed, as each of the two knows it.
#[derive(Debug, Clone)]
struct Hold {
    reference: HoldToken,
    subject: HoldToken,
    event_id: EventId,
    alone: bool,
}

impl<S, O> Pair<S, O>
where
    S: QueueStore,
    O: Fn(QueueConfig, Clock) -> QueueBackend<S>,
{
    pub(super) fn new(open: O, setup: &Setup) -> Self {
        let start = "2025-01-02T03:04:05Z".parse().expect("it is a time");
        let clock = Clock::still(start);
        let config = QueueConfig {
            lease: LEASE,
            retention: Duration::from_secs(setup.retention_seconds),
            max_attempts: setup.max_attempts,
            // What a crash may lose is another test's subject.
            durability: events_queue::Durability::Process,
            ..QueueConfig::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let channel = |name| ChannelName::new(name).expect("it is a name");
        let mut pair = Self {
            tally: Tally::default(),
            reference: MemoryStore::with(clock.clone(), config.retention),
            clock,
            config,
            open,
            backend: None,
            runtime,
            channels: ["orders", "mail", "fence"].map(channel).to_vec(),
            queues: 1,
            held: Vec::new(),
            settled: Vec::new(),
            published: 0,
        };
        pair.reopen();
        for store in [&pair.reference as &dyn QueueStore, pair.subject()] {
            let _ = store.register(pair.channels[FENCE].clone(), None).wait();
        }
        pair
    }

    fn subject(&self) -> &S {
        self.backend.as_ref().expect("it is open").store()
    }

    /// As after a crash: nothing is said to the old one.
    fn reopen(&mut self) {
        drop(self.backend.take());
        let _inside = self.runtime.enter();
        self.backend = Some((self.open)(self.config.clone(), self.clock.clone()));
    }

    /// Does one step to both, and compares what they answer and what they then hold.
    pub(super) fn step(&mut self, step: &Step) -> Agreed {
        match step {
            Step::Register { channel, group } => self.register(*channel, *group)?,
            Step::Publish(events) => self.publish(events)?,
            Step::Claim(claims) => self.claim(claims)?,
            Step::Settle(verdicts) => self.settle(verdicts)?,
            Step::Pass { seconds } => self.clock.advance(Duration::from_secs(*seconds)),
            Step::SetClock { by_seconds } => {
                let micros = self.clock.micros() + by_seconds * 1_000_000;
                let to = Timestamp::from_microsecond(micros).expect("it is within range");
                self.clock.set(to);
                self.tally.count("clock set", 1);
            }
            Step::Requeue { channel, one } => {
                let (channel, ids) = self.letters(*channel, *one);
                let requeue =
                    |store: &dyn QueueStore| store.requeue(channel.clone(), ids.clone()).wait();
                let many = self.both("requeue", requeue)?;
                self.tally
                    .count("requeued", usize::try_from(many).unwrap_or(0));
            }
            Step::Purge { channel, one } => {
                let (channel, ids) = self.letters(*channel, *one);
                let purge =
                    |store: &dyn QueueStore| store.purge_dead(channel.clone(), ids.clone()).wait();
                let many = self.both("purge", purge)?;
                self.tally
                    .count("purged", usize::try_from(many).unwrap_or(0));
            }
            Step::CleanUp => {
                let done = self.both("clean-up", |store| store.clean_up(ALL).wait())?;
                self.tally.count("cleaned up: deleted", done.deleted);
                self.tally.count("cleaned up: expired", done.expired);
            }
            Step::Reopen => {
                self.reopen();
                self.tally.count("reopened", 1);
            }
        }
        self.compare()
    }

    /// Asks both and compares the answers.
    fn both<T: Debug>(
        &self,
        what: &str,
        ask: impl Fn(&dyn QueueStore) -> events_core::Result<T>,
    ) -> Result<T, TestCaseError> {
        let (expected, found) = (ask(&self.reference), ask(self.subject()));
        same(what, &expected, &found)?;
        expected.map_err(|error| TestCaseError::fail(format!("{what}: {error}")))
    }

    fn register(&mut self, channel: usize, group: usize) -> Agreed {
        let channel = self.channels[channel].clone();
        let group = match group {
            0 => None,
            n => Some(GroupName::new(format!("group_{n}")).expect("it is a name")),
        };
        self.both("register", |store| {
            store.register(channel.clone(), group.clone()).wait()
        })?;
        Ok(())
    }

    fn publish(&mut self, events: &[Event]) -> Agreed {
        let rows: Vec<NewRow> = events.iter().map(|event| self.row(event)).collect();
        let stored = self.both("publish", |store| store.insert(rows.clone()).wait())?;
        self.tally.count("publish: stored", stored);
        self.tally.count("publish: repeated", rows.len() - stored);
        Ok(())
    }

    fn row(&mut self, event: &Event) -> NewRow {
        self.published += 1;
        let mut options = PublishOptions::new()
            .delay(Duration::from_secs(event.delay_seconds))
            .priority(event.priority);
        if let Some(seconds) = event.expires_seconds {
            // It is due before it expires.
            options = options.expires_in(Duration::from_secs(event.delay_seconds + seconds));
        }
        if event.metadata {
            options = options.metadata(json!({"n": self.published}));
        }
        let channel = self.channels[event.channel].clone();
        let new = NewEvent::new(channel, self.published).options(options);
        let mut id = [0; 16];
        match event.key {
            Some(key) => id[0] = key + 1,
            None => id[8..].copy_from_slice(&self.published.to_be_bytes()),
        }
        NewRow {
            id: EventId::from_bytes(id),
            keyed: event.key.is_some(),
            parts: new.into_parts(1 << 20).expect("it is an event"),
        }
    }

    /// A channel, and the id of one of its dead letters, or all.
    fn letters(&self, channel: usize, one: Option<usize>) -> (ChannelName, Option<Vec<EventId>>) {
        let channel = self.channels[channel].clone();
        let letters = self
            .reference
            .dead_letters(channel.clone(), ALL)
            .wait()
            .unwrap_or_default();
        let ids = one.filter(|_| !letters.is_empty());
        let ids = ids.map(|one| vec![letters[one % letters.len()].event_id]);
        (channel, ids)
    }

    /// Both hold the same.
    fn compare(&mut self) -> Agreed {
        let stats = |store: &dyn QueueStore| {
            let mut stats = store.stats(None).wait()?;
            let groups = stats.iter_mut().flat_map(|stats| &mut stats.groups);
            // Told cheaply rather than exactly.
            groups.for_each(|group| group.oldest_ready_age = None);
            Ok(stats)
        };
        let groups = |stats: &Stats| stats.groups.len();
        // Queues are numbered from 1 as groups are registered.
        self.queues = self.both("stats", stats)?.iter().map(groups).sum();
        for at in 0..FENCE {
            let channel = &self.channels[at];
            let letters = self.both("dead letters", |store| {
                store.dead_letters(channel.clone(), ALL).wait()
            })?;
            for letter in letters {
                self.tally.count(format!("dead: {}", letter.reason), 1);
            }
        }
        Ok(())
    }
}

/// Types of the contract have no equality of their own; their text shows every field.
fn same(what: &str, expected: &impl Debug, found: &impl Debug) -> Agreed {
    let (expected, found) = (format!("{expected:?}"), format!("{found:?}"));
    if expected == found {
        return Ok(());
    }
    Err(TestCaseError::fail(format!(
        "{what}\n  reference: {expected}\n  subject:   {found}"
    )))
}
