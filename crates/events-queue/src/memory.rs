//! The reference store: queue tables as plain vectors, for tests of the engine and as a model.
//!
//! Nothing is durable and every operation scans; clarity is its only aim.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use events_core::{
    Capabilities, ChannelName, DeadLetter, EventId, FanOut, GroupName, GroupStats, HoldToken,
    MAX_NAME_BYTES, Pending, SettlementMode, Stats, Timestamp, Wakes as WakeMode,
};

use crate::{
    Claim, Claimed, CleanUp, Clock, DeadReason, NewRow, Outcome, QueueStore, Registration, Row,
    StoreSettlement, StoreVerdict, Wakes,
};

/// A queue in memory; clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
    wakes: Arc<Wakes>,
}

#[derive(Debug, Default)]
struct Tables {
    clock: Clock,
    next_row: i64,
    queues: Vec<(ChannelName, Option<GroupName>)>,
    rows: Vec<Stored>,
    dead: Vec<(i64, DeadLetter)>,
    keys: HashMap<EventId, ()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Delayed,
    Suspect,
    Leased,
    Acked,
}

#[derive(Debug, Clone)]
struct Stored {
    token: HoldToken,
    state: State,
    event: NewRow,
    available_at: Timestamp,
    lease_until: Timestamp,
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
    acked_at: Timestamp,
    last_error: Option<String>,
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

impl Tables {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn register(&mut self, channel: &ChannelName, group: Option<&GroupName>) -> Registration {
        let known = self
            .queues
            .iter()
            .position(|(c, g)| c == channel && g.as_ref() == group);
        let at = known.unwrap_or_else(|| {
            self.queues.push((channel.clone(), group.cloned()));
            self.queues.len() - 1
        });
        Registration {
            queue_id: id_of(at),
            created: known.is_none(),
        }
    }

    fn queues_of(&self, channel: &ChannelName) -> Vec<i64> {
        self.queues
            .iter()
            .enumerate()
            .filter(|(_, (c, _))| c == channel)
            .map(|(at, _)| id_of(at))
            .collect()
    }

    fn insert(&mut self, event: NewRow) -> usize {
        if event.keyed && self.keys.insert(event.id, ()).is_some() {
            return 0;
        }
        let now = self.now();
        let mut queues = self.queues_of(&event.parts.channel);
        if queues.is_empty() {
            queues.push(self.register(&event.parts.channel, None).queue_id);
        }
        for queue_id in queues {
            self.next_row += 1;
            let priority = event.parts.priority;
            self.rows.push(Stored {
                token: HoldToken {
                    queue_id,
                    row: self.next_row,
                    fence: 0,
                    priority,
                    attempts: 0,
                    keyed: event.keyed,
                },
                state: if event.parts.delay.is_zero() {
                    State::Ready
                } else {
                    State::Delayed
                },
                available_at: now + event.parts.delay,
                lease_until: now,
                expires_at: event.parts.expires_in.map(|time| now + time),
                created_at: now,
                acked_at: now,
                last_error: None,
                event: event.clone(),
            });
        }
        1
    }

    /// Moves what is due to where it belongs: delayed, expired and ended leases.
    fn turn(&mut self, claim: &Claim) -> (usize, usize) {
        let now = self.now();
        let (mut dead, mut expired) = (Vec::new(), Vec::new());
        for row in self
            .rows
            .iter_mut()
            .filter(|row| row.token.queue_id == claim.queue_id)
        {
            match row.state {
                State::Ready | State::Delayed | State::Suspect
                    if row.expires_at.is_some_and(|at| at <= now) =>
                {
                    expired.push(row.token.row);
                }
                State::Delayed if row.available_at <= now => row.state = State::Ready,
                State::Leased
                    if row.lease_until <= now && row.token.attempts >= claim.max_attempts =>
                {
                    dead.push(row.token.row);
                }
                State::Leased if row.lease_until <= now => row.state = State::Suspect,
                _ => {}
            }
        }
        dead.iter()
            .for_each(|row| self.bury(*row, DeadReason::MaxAttempts, None));
        expired
            .iter()
            .for_each(|row| self.bury(*row, DeadReason::Expired, None));
        (dead.len(), expired.len())
    }

    fn bury(&mut self, row: i64, reason: DeadReason, error: Option<String>) {
        let Some(at) = self.rows.iter().position(|stored| stored.token.row == row) else {
            return;
        };
        let stored = self.rows.remove(at);
        let (channel, group) = self.queues[index_of(stored.token.queue_id)].clone();
        let mut letter = DeadLetter::new(
            stored.event.id,
            channel,
            reason.as_str().to_owned(),
            self.now(),
        );
        letter.group = group;
        letter.payload =
            serde_json::from_str(stored.event.parts.payload.text()).unwrap_or_default();
        letter.attempts = stored.token.attempts;
        letter.last_error = error.or(stored.last_error);
        letter.created_at = stored.created_at;
        self.dead.push((stored.token.queue_id, letter));
    }

    fn claim(&mut self, claim: &Claim) -> Claimed {
        let (dead, expired) = self.turn(claim);
        let now = self.now();
        let mut ready: Vec<&mut Stored> = self
            .rows
            .iter_mut()
            .filter(|row| {
                row.token.queue_id == claim.queue_id
                    && matches!(row.state, State::Ready | State::Suspect)
            })
            .collect();
        ready.sort_by_key(|row| (-i32::from(row.token.priority), row.token.row));
        let alone = ready.first().is_some_and(|row| row.state == State::Suspect);
        let limit = match (alone, claim.suspects) {
            (true, true) => 1,
            (true, false) => 0,
            (false, _) => claim.limit,
        };
        let taken = ready
            .into_iter()
            .take(limit)
            .take_while(|row| alone || row.state == State::Ready);
        let rows: Vec<Row> = taken
            .map(|row| {
                row.state = State::Leased;
                row.token.attempts += 1;
                row.token.fence += 1;
                row.lease_until = now + claim.lease;
                Row {
                    token: row.token,
                    event_id: row.event.id,
                    payload: row.event.parts.payload.text().to_owned(),
                    metadata: row
                        .event
                        .parts
                        .metadata
                        .as_ref()
                        .map(|m| m.text().to_owned()),
                    available_at: row.available_at,
                    lease_expires_at: row.lease_until,
                    created_at: row.created_at,
                    expires_at: row.expires_at,
                }
            })
            .collect();
        let due = self
            .rows
            .iter()
            .filter(|row| row.token.queue_id == claim.queue_id)
            .filter_map(|row| match row.state {
                State::Delayed => Some(row.available_at),
                State::Leased => Some(row.lease_until),
                _ => None,
            });
        let next_due = due
            .min()
            .map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
        Claimed {
            rows,
            alone,
            next_due,
            dead,
            expired,
        }
    }

    fn settle(&mut self, settlement: StoreSettlement) -> Outcome {
        let now = self.now();
        let StoreSettlement {
            token,
            event_id,
            verdict,
        } = settlement;
        let Some(row) = self.rows.iter_mut().find(|row| {
            row.token.row == token.row && row.token.fence == token.fence && row.event.id == event_id
        }) else {
            return Outcome::Gone;
        };
        match row.state {
            State::Leased | State::Suspect => {}
            State::Acked => return Outcome::AlreadyAcked,
            State::Ready | State::Delayed => return Outcome::AlreadyNacked,
        }
        match verdict {
            StoreVerdict::Ack => {
                row.state = State::Acked;
                row.acked_at = now;
            }
            StoreVerdict::Retry { after, error } => {
                row.state = if after.is_zero() {
                    State::Ready
                } else {
                    State::Delayed
                };
                row.available_at = now + after;
                row.last_error = error;
            }
            StoreVerdict::Dead { reason, error } => self.bury(token.row, reason, error),
            StoreVerdict::Extend(by) => {
                row.state = State::Leased;
                row.lease_until = now + by;
            }
            StoreVerdict::Release { suspect } => {
                row.state = if suspect {
                    State::Suspect
                } else {
                    State::Ready
                };
                row.token.attempts -= 1;
            }
        }
        Outcome::Recorded
    }

    fn stats(&self, channel: &ChannelName) -> Stats {
        let mut stats = Stats::new(channel.clone());
        for queue_id in self.queues_of(channel) {
            let count = |state| {
                self.rows
                    .iter()
                    .filter(|r| r.token.queue_id == queue_id && r.state == state)
                    .count() as u64
            };
            stats.groups.push(GroupStats {
                group: self.queues[index_of(queue_id)].1.clone(),
                ready: count(State::Ready) + count(State::Suspect),
                delayed: count(State::Delayed),
                leased: count(State::Leased),
                acked: count(State::Acked),
                dead: self
                    .dead
                    .iter()
                    .filter(|(queue, _)| *queue == queue_id)
                    .count() as u64,
                oldest_ready_age: None,
            });
        }
        stats
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

fn id_of(index: usize) -> i64 {
    i64::try_from(index + 1).expect("a test has fewer queues than 2^63")
}

fn index_of(queue_id: i64) -> usize {
    usize::try_from(queue_id - 1).expect("ids start at 1")
}
