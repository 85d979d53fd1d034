//! The tables of the reference store, and the plain operations on them.

use std::collections::HashMap;
use std::time::Duration;

use events_core::{ChannelName, EventId, GroupName, GroupStats, HoldToken, Stats, Timestamp};

use crate::{Clock, DeadReason, NewRow, Registration};

#[derive(Debug)]
pub(super) struct Tables {
    pub(super) clock: Clock,
    pub(super) retention: Duration,
    pub(super) next_row: i64,
    pub(super) queues: Vec<(ChannelName, Option<GroupName>)>,
    pub(super) rows: Vec<Stored>,
    pub(super) dead: Vec<Dead>,
    pub(super) keys: HashMap<EventId, Key>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Delayed,
    Suspect,
    Leased,
    Acked,
}

#[derive(Debug)]
pub(super) struct Stored {
    pub(super) token: HoldToken,
    pub(super) state: State,
    pub(super) event: NewRow,
    pub(super) available_at: Timestamp,
    pub(super) lease_until: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) created_at: Timestamp,
    pub(super) acked_at: Timestamp,
    pub(super) last_error: Option<String>,
}

/// A dead letter.
#[derive(Debug)]
pub(super) struct Dead {
    pub(super) row: Stored,
    pub(super) reason: DeadReason,
    pub(super) died_at: Timestamp,
}

/// An id that a caller chose.
#[derive(Debug, Default)]
pub(super) struct Key {
    /// The groups that have not settled the event.
    pub(super) pending: usize,
    /// Set when none is left.
    pub(super) expires_at: Option<Timestamp>,
}

impl Tables {
    pub(super) fn new(clock: Clock, retention: Duration) -> Self {
        Self {
            clock,
            retention,
            next_row: 0,
            queues: Vec::new(),
            rows: Vec::new(),
            dead: Vec::new(),
            keys: HashMap::new(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn register(
        &mut self,
        channel: &ChannelName,
        group: Option<&GroupName>,
    ) -> Registration {
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

    pub(super) fn queues_of(&self, channel: &ChannelName) -> Vec<i64> {
        self.queues
            .iter()
            .enumerate()
            .filter(|(_, (c, _))| c == channel)
            .map(|(at, _)| id_of(at))
            .collect()
    }

    pub(super) fn insert(&mut self, event: NewRow) -> usize {
        let now = self.now();
        if event.keyed {
            let forgotten = |key: &Key| key.expires_at.is_some_and(|at| at <= now);
            if self.keys.get(&event.id).is_some_and(|key| !forgotten(key)) {
                return 0;
            }
        }
        let mut queues = self.queues_of(&event.parts.channel);
        if queues.is_empty() {
            queues.push(self.register(&event.parts.channel, None).queue_id);
        }
        if event.keyed {
            let key = Key {
                pending: queues.len(),
                expires_at: None,
            };
            self.keys.insert(event.id, key);
        }
        for queue_id in queues {
            let token = HoldToken {
                queue_id,
                row: self.new_row(),
                fence: 0,
                priority: event.parts.priority,
                attempts: 0,
                keyed: event.keyed,
            };
            self.rows.push(Stored {
                token,
                state: if event.parts.delay.is_zero() {
                    State::Ready
                } else {
                    State::Delayed
                },
                available_at: after(now, event.parts.delay),
                lease_until: now,
                expires_at: event.parts.expires_in.map(|time| after(now, time)),
                created_at: now,
                acked_at: now,
                last_error: None,
                event: event.clone(),
            });
        }
        1
    }

    pub(super) fn new_row(&mut self) -> i64 {
        self.next_row += 1;
        self.next_row
    }

    pub(super) fn stats(&self, channel: &ChannelName) -> Stats {
        let mut stats = Stats::new(channel.clone());
        for queue_id in self.queues_of(channel) {
            let rows = |state| {
                self.rows
                    .iter()
                    .filter(move |row| row.token.queue_id == queue_id && row.state == state)
            };
            let count = |state| rows(state).count() as u64;
            let dead = |dead: &&Dead| dead.row.token.queue_id == queue_id;
            let age = |row: &Stored| self.now().duration_since(row.available_at);
            let oldest = rows(State::Ready).map(age).max();
            stats.groups.push(GroupStats {
                group: self.queues[index_of(queue_id)].1.clone(),
                ready: count(State::Ready) + count(State::Suspect),
                delayed: count(State::Delayed),
                leased: count(State::Leased),
                acked: count(State::Acked),
                dead: self.dead.iter().filter(dead).count() as u64,
                oldest_ready_age: oldest.map(|age| Duration::try_from(age).unwrap_or_default()),
            });
        }
        stats.groups.sort_by(|a, b| a.group.cmp(&b.group));
        stats
    }
}

/// A moment after another one, at most the last that there is.
pub(super) fn after(now: Timestamp, time: Duration) -> Timestamp {
    now.checked_add(time).unwrap_or(Timestamp::MAX)
}

pub(super) fn id_of(index: usize) -> i64 {
    i64::try_from(index + 1).expect("a test has fewer queues than 2^63")
}

pub(super) fn index_of(queue_id: i64) -> usize {
    usize::try_from(queue_id - 1).expect("ids start at 1")
}
