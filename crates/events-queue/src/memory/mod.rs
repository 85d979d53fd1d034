//! The reference store: queue tables as plain vectors, for tests of the engine and as a model.
//!
//! Nothing is durable and every operation scans; clarity is its only aim.

mod claim;
mod settle;
mod tables;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use events_core::{
    Capabilities, ChannelName, DeadLetter, EventId, FanOut, GroupName, MAX_NAME_BYTES, Pending,
    SettlementMode, Stats, Wakes as WakeMode,
};

use self::tables::Tables;
use crate::{
    Claim, Claimed, CleanUp, Clock, NewRow, Outcome, QueueConfig, QueueStore, Registration,
    StoreSettlement, Wakes,
};

/// A queue in memory; clones share it.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
    wakes: Arc<Wakes>,
}

impl MemoryStore {
    /// An empty queue by the host's clock, with the default retention.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Clock::system(), QueueConfig::default().retention)
    }

    /// An empty queue by this clock, with this retention.
    #[must_use]
    pub fn with(clock: Clock, retention: Duration) -> Self {
        Self {
            tables: Arc::new(Mutex::new(Tables::new(clock, retention))),
            wakes: Arc::default(),
        }
    }

    /// Moves the store's clock ahead, as a test of leases and delays wants it.
    pub fn advance(&self, by: Duration) {
        self.lock().clock.advance(by);
        self.wakes.ring_all();
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueStore for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: false,
            fan_out: FanOut::Groups,
            settlement: SettlementMode::Lease,
            wakes: WakeMode::InProcess,
            delay: true,
            priority: true,
            expires: true,
            idempotent: true,
            dead_letters: true,
            atomic_batch: true,
            max_event_bytes: None,
            max_name_bytes: MAX_NAME_BYTES,
        }
    }

    fn wakes(&self) -> &Arc<Wakes> {
        &self.wakes
    }

    fn insert(&self, rows: Vec<NewRow>) -> Pending<usize> {
        let channels: Vec<_> = rows.iter().map(|row| row.parts.channel.clone()).collect();
        let mut tables = self.lock();
        let stored = rows.into_iter().map(|row| tables.insert(row)).sum();
        drop(tables);
        channels
            .iter()
            .for_each(|channel| self.wakes.ring_channel(channel, 1));
        Pending::ready(Ok(stored))
    }

    fn register(&self, channel: ChannelName, group: Option<GroupName>) -> Pending<Registration> {
        Pending::ready(Ok(self.lock().register(&channel, group.as_ref())))
    }

    fn claim(&self, claim: Claim) -> Pending<Claimed> {
        // Done when it is polled, so a claim that nobody awaits takes nothing.
        let store = self.clone();
        Pending::from_future(async move { Ok(store.lock().claim(&claim)) })
    }

    fn settle(&self, settlements: Vec<StoreSettlement>) -> Pending<Vec<Outcome>> {
        let queues: Vec<_> = settlements.iter().map(|s| s.token.queue_id).collect();
        let mut tables = self.lock();
        let outcomes = settlements
            .into_iter()
            .map(|settlement| tables.settle(settlement))
            .collect();
        drop(tables);
        queues
            .into_iter()
            .for_each(|queue| self.wakes.ring_queue(queue, 1));
        Pending::ready(Ok(outcomes))
    }

    fn clean_up(&self, limit: usize) -> Pending<CleanUp> {
        Pending::ready(Ok(self.lock().clean_up(limit)))
    }

    fn stats(&self, channel: Option<ChannelName>) -> Pending<Vec<Stats>> {
        let tables = self.lock();
        let mut channels: Vec<_> = tables
            .queues
            .iter()
            .map(|(channel, _)| channel.clone())
            .collect();
        channels.sort();
        channels.dedup();
        channels.retain(|known| channel.as_ref().is_none_or(|wanted| wanted == known));
        Pending::ready(Ok(channels
            .iter()
            .map(|channel| tables.stats(channel))
            .collect()))
    }

    fn dead_letters(&self, channel: ChannelName, limit: usize) -> Pending<Vec<DeadLetter>> {
        let mut letters = self.lock().letters(&channel);
        letters.truncate(limit);
        Pending::ready(Ok(letters))
    }

    fn requeue(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64> {
        let mut tables = self.lock();
        let dead = tables.take_dead(&channel, ids.as_deref());
        let many = dead.len();
        dead.into_iter().for_each(|dead| tables.requeue(dead));
        drop(tables);
        self.wakes.ring_channel(&channel, many);
        Pending::ready(Ok(many as u64))
    }

    fn purge_dead(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64> {
        let dead = self.lock().take_dead(&channel, ids.as_deref());
        Pending::ready(Ok(dead.len() as u64))
    }

    fn ping(&self) -> Pending<String> {
        Pending::ready(Ok("memory".to_owned()))
    }

    fn close(&self) -> Pending<()> {
        Pending::ready(Ok(()))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}
