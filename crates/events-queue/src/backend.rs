//! Makes a backend of any queue store.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use events_core::telemetry::Count;
use events_core::{
    Admin, Backend, BoxSubscription, Capabilities, ChannelName, DeadLetter, EventId, GroupName,
    Health, NewEvent, Op, Pending, Result, Settled, Settlement, Stats, Subscribe,
};
use tokio::runtime::Handle;

use crate::consumer::Consumer;
use crate::consumer_stream::ConsumerStream;
use crate::engine::Engine;
use crate::{NewRow, QueueConfig, QueueStore, bell, janitor, renewal};

/// A durable queue over the tables of a store.
pub struct QueueBackend<S: QueueStore> {
    engine: Arc<Engine<S>>,
}

impl<S: QueueStore> QueueBackend<S> {
    /// Starts the backend; lease renewal and clean-up run as tasks of `runtime` until shutdown.
    ///
    /// # Errors
    /// `InvalidConfig` when a setting cannot work.
    pub fn start(store: S, config: QueueConfig, runtime: &Handle) -> Result<Self> {
        config.check()?;
        let (lease, retention) = (config.lease, config.retention);
        let engine = Arc::new(Engine::new(store, config));
        runtime.spawn(renewal::run(Arc::downgrade(&engine), lease));
        runtime.spawn(janitor::run(Arc::downgrade(&engine), retention));
        let wakes = Arc::clone(engine.store.wakes());
        runtime.spawn(bell::watch(wakes, engine.closer.clone()));
        Ok(Self { engine })
    }

    /// The store, for what only that database can do.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.engine.store
    }

    /// Checks events and gives each its id, for a store that inserts them by itself.
    ///
    /// # Errors
    /// Those of `publish` for an event that breaks a rule; `Closed` after shutdown.
    pub fn prepare(&self, events: Vec<NewEvent>) -> Result<Vec<NewRow>> {
        self.engine.check_open(Op::Publish)?;
        let limit = self.engine.config.max_payload_bytes;
        events
            .into_iter()
            .map(|event| {
                let parts = event.into_parts(limit)?;
                let keyed = parts.event_id.is_some();
                Ok(NewRow {
                    id: parts.event_id.unwrap_or_else(EventId::new),
                    keyed,
                    parts,
                })
            })
            .collect()
    }

    /// Counts events that a store has inserted by itself, once it is known that they stay.
    pub fn counted(&self, rows: &[NewRow], stored: usize) -> impl FnOnce() + Send + Sync + use<S> {
        let engine = Arc::downgrade(&self.engine);
        let repeated = rows.len() - stored;
        let channels = by_channel(rows);
        move || {
            if let Some(engine) = engine.upgrade() {
                engine.meter.add(Count::PublishRepeated, repeated as u64);
                for (channel, count) in channels {
                    engine.channel_meter(&channel).add(Count::Publish, count);
                }
            }
        }
    }
}

/// How many events there are for each channel.
fn by_channel(rows: &[NewRow]) -> Vec<(ChannelName, u64)> {
    let mut channels: Vec<(ChannelName, u64)> = Vec::new();
    for row in rows {
        let known = channels
            .iter_mut()
            .find(|(channel, _)| *channel == row.parts.channel);
        match known {
            Some((_, count)) => *count += 1,
            None => channels.push((row.parts.channel.clone(), 1)),
        }
    }
    channels
}

impl<S: QueueStore> Backend for QueueBackend<S> {
    fn name(&self) -> &'static str {
        self.engine.store.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.engine.store.capabilities()
    }

    fn lease(&self) -> Option<Duration> {
        Some(self.engine.config.lease)
    }

    fn publish(&self, events: Vec<NewEvent>) -> Pending<Vec<EventId>> {
        let rows = match self.prepare(events) {
            Ok(rows) if rows.is_empty() => return Pending::ready(Ok(Vec::new())),
            Ok(rows) => rows,
            Err(error) => return Pending::ready(Err(error.in_backend(self.name()))),
        };
        let started = Instant::now();
        let ids: Vec<EventId> = rows.iter().map(|row| row.id).collect();
        let channels = by_channel(&rows);
        let engine = Arc::clone(&self.engine);
        self.engine.store.insert(rows).then(move |stored| {
            let repeated = ids.len() - stored?;
            engine.meter.add(Count::PublishRepeated, repeated as u64);
            let took = started.elapsed();
            for (channel, count) in channels {
                let meter = engine.channel_meter(&channel);
                meter.add(Count::Publish, count);
                meter.publish_took(took);
            }
            Ok(ids)
        })
    }

    fn subscribe(&self, request: Subscribe) -> Pending<BoxSubscription> {
        if let Err(error) = self.engine.check_open(Op::Subscribe) {
            return Pending::ready(Err(error));
        }
        let engine = Arc::clone(&self.engine);
        self.engine
            .store
            .register(request.channel.clone(), request.group.clone())
            .then(move |registration| {
                let queue = engine.queue(
                    registration?.queue_id,
                    &request.channel,
                    request.group.as_ref(),
                );
                Ok(
                    Box::new(ConsumerStream::new(Consumer::new(engine, queue, &request)))
                        as BoxSubscription,
                )
            })
    }

    fn settle(&self, settlements: Vec<Settlement>) -> Pending<Vec<Result<Settled>>> {
        self.engine.settle(settlements)
    }

    fn admin(&self) -> Option<&dyn Admin> {
        Some(self)
    }

    fn health(&self) -> Pending<Health> {
        let (name, started) = (self.name(), Instant::now());
        match self.engine.check_open(Op::Admin) {
            Ok(()) => self
                .engine
                .store
                .ping()
                .then(move |version| Ok(Health::new(name, version?, started.elapsed()))),
            Err(error) => Pending::ready(Err(error)),
        }
    }

    fn shutdown(&self) -> Pending<()> {
        if !self.engine.closer.is_closed() {
            self.engine.closer.close();
            self.engine.close_consumers();
            self.engine.meter.add(Count::Shutdown, 1);
        }
        self.engine.store.close()
    }
}

impl<S: QueueStore> Admin for QueueBackend<S> {
    fn subscribe_group(&self, channel: ChannelName, group: Option<GroupName>) -> Pending<bool> {
        self.engine
            .store
            .register(channel, group)
            .then(|registration| Ok(registration?.created))
    }

    fn stats(&self, channel: Option<ChannelName>) -> Pending<Vec<Stats>> {
        let engine = Arc::clone(&self.engine);
        self.engine.store.stats(channel).then(move |stats| {
            let stats = stats?;
            for channel in &stats {
                let total = channel.total();
                engine
                    .channel_meter(&channel.channel)
                    .depth(total.ready, total.oldest_ready_age);
            }
            Ok(stats)
        })
    }

    fn dead_letters(&self, channel: ChannelName, limit: usize) -> Pending<Vec<DeadLetter>> {
        self.engine.store.dead_letters(channel, limit)
    }

    fn requeue(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64> {
        self.engine.store.requeue(channel, ids)
    }

    fn purge_dead(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64> {
        self.engine.store.purge_dead(channel, ids)
    }
}

impl<S: QueueStore> Drop for QueueBackend<S> {
    /// Ends the background tasks, and the consumers that still live.
    fn drop(&mut self) {
        self.engine.closer.close();
        self.engine.close_consumers();
    }
}

impl<S: QueueStore> fmt::Debug for QueueBackend<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueBackend")
            .field("store", &self.engine.store)
            .finish_non_exhaustive()
    }
}
