//! The reference store: queue tables as plain vectors, for tests of the engine and as a model.
//!
//! Nothing is durable and every operation scans; clarity is its only aim.

mod tables;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use events_core::{
    Capabilities, ChannelName, DeadLetter, EventId, FanOut, GroupName, HoldToken, MAX_NAME_BYTES,
    Pending, SettlementMode, Stats, Wakes as WakeMode,
};

use self::tables::{State, Stored, Tables};
use crate::{
    Claim, Claimed, CleanUp, NewRow, Outcome, QueueStore, Registration, StoreSettlement, Wakes,
};

/// A queue in memory; clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
    wakes: Arc<Wakes>,
}

impl MemoryStore {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
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

    fn clean_up(&self, _limit: usize) -> Pending<CleanUp> {
        Pending::ready(Ok(CleanUp::default()))
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
        let tables = self.lock();
        let letters = tables
            .dead
            .iter()
            .rev()
            .map(|(_, letter)| letter)
            .filter(|letter| letter.channel == channel);
        Pending::ready(Ok(letters.take(limit).cloned().collect()))
    }

    fn requeue(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64> {
        let mut tables = self.lock();
        let letters = take_dead(&mut tables, &channel, ids.as_deref());
        let now = tables.now();
        for (queue_id, letter) in &letters {
            let event = events_core::NewEvent::new(&letter.channel, &letter.payload);
            let Ok(parts) = event.into_parts(usize::MAX) else {
                continue;
            };
            tables.next_row += 1;
            let token = HoldToken {
                queue_id: *queue_id,
                row: tables.next_row,
                fence: 0,
                priority: 0,
                attempts: 0,
                keyed: false,
            };
            tables.rows.push(Stored {
                token,
                state: State::Ready,
                event: NewRow {
                    id: letter.event_id,
                    keyed: false,
                    parts,
                },
                available_at: now,
                lease_until: now,
                expires_at: None,
                created_at: letter.created_at,
                acked_at: now,
                last_error: letter.last_error.clone(),
            });
        }
        drop(tables);
        self.wakes.ring_channel(&channel, letters.len());
        Pending::ready(Ok(letters.len() as u64))
    }

    fn purge_dead(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64> {
        Pending::ready(Ok(
            take_dead(&mut self.lock(), &channel, ids.as_deref()).len() as u64,
        ))
    }

    fn ping(&self) -> Pending<String> {
        Pending::ready(Ok("memory".to_owned()))
    }

    fn close(&self) -> Pending<()> {
        Pending::ready(Ok(()))
    }
}

fn take_dead(
    tables: &mut Tables,
    channel: &ChannelName,
    ids: Option<&[EventId]>,
) -> Vec<(i64, DeadLetter)> {
    let wanted = |letter: &DeadLetter| {
        letter.channel == *channel && ids.is_none_or(|ids| ids.contains(&letter.event_id))
    };
    tables
        .dead
        .extract_if(.., |(_, letter)| wanted(letter))
        .collect()
}
