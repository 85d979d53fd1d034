//! What all consumers and calls of one queue backend share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Instant;

use events_core::telemetry::Meter;
use events_core::{
    ChannelName, Closer, Error, ErrorKind, GroupName, HoldToken, Meters, Op, Result,
};

use crate::alone::AloneHolds;
use crate::bell::Bell;
use crate::claiming::Shelf;
use crate::prefetch::{Buffer, Held};
use crate::settled::SettledMemory;
use crate::{QueueConfig, QueueStore, StoreSettlement, StoreVerdict};

/// The shared state of a queue backend.
#[derive(Debug)]
pub(crate) struct Engine<S> {
    // Dropped before the store, whose answers it may wait for.
    pub(crate) settled: SettledMemory,
    pub(crate) store: S,
    pub(crate) config: QueueConfig,
    pub(crate) alone: AloneHolds,
    pub(crate) closer: Closer,
    pub(crate) meter: Meter,
    queues: RwLock<HashMap<i64, Arc<Queue>>>,
    meters: Meters,
    consumers: Mutex<Vec<ConsumerEntry>>,
}

/// A queue that this process consumes.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) id: i64,
    pub(crate) channel: ChannelName,
    pub(crate) group: Option<GroupName>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) meter: Meter,
}

/// What the engine knows of a live consumer.
#[derive(Debug)]
pub(crate) struct ConsumerEntry {
    pub(crate) buffer: Weak<Buffer>,
    pub(crate) closer: Closer,
}

impl<S: QueueStore> Engine<S> {
    pub(crate) fn new(store: S, config: QueueConfig) -> Self {
        let meter = config.telemetry.backend(store.name());
        Self {
            settled: SettledMemory::new(config.lease),
            alone: AloneHolds::default(),
            closer: Closer::new(),
            queues: RwLock::default(),
            meters: Meters::new(Arc::clone(&config.telemetry), store.name()),
            consumers: Mutex::default(),
            meter,
            store,
            config,
        }
    }

    /// Refuses a call after shutdown.
    pub(crate) fn check_open(&self, op: Op) -> Result<()> {
        if self.closer.is_closed() {
            return Err(Error::new(ErrorKind::Closed, op)
                .because("the channel was shut down; open a new one")
                .in_backend(self.store.name()));
        }
        Ok(())
    }

    /// The shared record of a queue; made when its first consumer comes.
    pub(crate) fn queue(
        &self,
        id: i64,
        channel: &ChannelName,
        group: Option<&GroupName>,
    ) -> Arc<Queue> {
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(id).or_insert_with(|| {
            Arc::new(Queue {
                id,
                channel: channel.clone(),
                group: group.cloned(),
                bell: self.store.wakes().bell(id, channel),
                meter: self
                    .config
                    .telemetry
                    .channel(self.store.name(), channel, group),
            })
        });
        Arc::clone(queue)
    }

    /// Runs `count` with the meter of the queue, or of the backend if this process does not
    /// consume that queue.
    pub(crate) fn with_meter(&self, queue_id: i64, count: impl FnOnce(&Meter)) {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        count(
            queues
                .get(&queue_id)
                .map_or(&self.meter, |queue| &queue.meter),
        );
    }

    /// The meter of a channel that is published to.
    pub(crate) fn channel_meter(&self, channel: &ChannelName) -> Arc<Meter> {
        self.meters.of(channel)
    }

    pub(crate) fn add_consumer(&self, entry: ConsumerEntry) {
        let mut consumers = self
            .consumers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        consumers.retain(|known| known.buffer.strong_count() > 0);
        consumers.push(entry);
    }

    /// The buffers of all live consumers.
    pub(crate) fn buffers(&self) -> Vec<Arc<Buffer>> {
        let consumers = self
            .consumers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        consumers
            .iter()
            .filter_map(|entry| entry.buffer.upgrade())
            .collect()
    }

    /// Ends every consumer, and gives back what was not handed over.
    pub(crate) fn close_consumers(&self) {
        let consumers = std::mem::take(
            &mut *self
                .consumers
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for consumer in consumers {
            consumer.closer.close();
            if let Some(buffer) = consumer.buffer.upgrade() {
                self.release(&buffer);
            }
        }
        // Whoever watches the bells sees that it is over.
        self.store.wakes().stir();
    }

    /// Where a consumer's claim puts its events.
    pub(crate) fn shelf<'a>(&'a self, buffer: &'a Buffer) -> Shelf<'a> {
        Shelf {
            buffer,
            alone: &self.alone,
            lease: self.config.lease,
        }
    }

    /// Gives back what a consumer was not handed, and what its claim brings yet; the attempt is not
    /// counted.
    pub(crate) fn release(&self, buffer: &Buffer) {
        buffer.claiming.give_up();
        let held = std::mem::take(&mut *buffer.lock());
        if held.is_empty() {
            return;
        }
        let release = |held: Held| StoreSettlement {
            token: held.row.token,
            event_id: held.row.event_id,
            verdict: StoreVerdict::Release {
                suspect: self.alone.contains(&held.row.token),
            },
        };
        self.store
            .settle(held.into_iter().map(release).collect())
            .detach();
    }

    /// Notes what became of the renewal of an event that waits in a buffer.
    pub(crate) fn note_renewal(
        &self,
        buffer: &Buffer,
        token: &HoldToken,
        asked: Instant,
        recorded: bool,
    ) {
        let mut buffer = buffer.lock();
        let Some(at) = buffer.iter().position(|held| held.row.token == *token) else {
            return;
        };
        if recorded {
            buffer[at].renew(asked + self.config.lease);
            self.alone.extend(token, self.config.lease);
        } else {
            buffer.remove(at);
            self.alone.remove(token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    #[test]
    fn consumers_that_are_gone_are_forgotten_when_another_comes() {
        let engine = Engine::new(MemoryStore::new(), QueueConfig::default());
        let lives = Arc::new(Buffer::default());
        for buffer in [Arc::clone(&lives), Arc::default(), Arc::default()] {
            engine.add_consumer(ConsumerEntry {
                buffer: Arc::downgrade(&buffer),
                closer: Closer::new(),
            });
        }
        // The last one went only after it had come.
        assert_eq!(engine.consumers.lock().unwrap().len(), 2);
        assert_eq!(engine.buffers().len(), 1);
        assert!(Arc::ptr_eq(&engine.buffers()[0], &lives));
    }

    #[test]
    fn a_queue_is_one_record_and_counts_what_is_its_own() {
        let config = QueueConfig {
            telemetry: events_core::telemetry::Telemetry::named("one_record"),
            ..QueueConfig::default()
        };
        let engine = Engine::new(MemoryStore::new(), config);
        let channel = ChannelName::new("orders").unwrap();
        let group = GroupName::new("mail").unwrap();
        let queue = engine.queue(7, &channel, Some(&group));
        assert!(Arc::ptr_eq(
            &queue,
            &engine.queue(7, &channel, Some(&group))
        ));
        assert_eq!((queue.id, &queue.channel), (7, &channel));
        assert_eq!(queue.group.as_ref(), Some(&group));
        let met = std::cell::Cell::new(0);
        for queue_id in [7, 8] {
            engine.with_meter(queue_id, |_| met.set(met.get() + 1));
        }
        assert_eq!(met.get(), 2);
    }
}
