//! The tables of the reference store, and what a transaction does to them.

use std::collections::HashMap;
use std::time::Duration;

use events_core::{
    ChannelName, DeadLetter, EventId, GroupName, GroupStats, HoldToken, Stats, Timestamp,
};

use crate::{
    Claim, Claimed, Clock, DeadReason, NewRow, Outcome, Registration, Row, StoreSettlement,
    StoreVerdict,
};

#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) clock: Clock,
    pub(super) next_row: i64,
    pub(super) queues: Vec<(ChannelName, Option<GroupName>)>,
    pub(super) rows: Vec<Stored>,
    pub(super) dead: Vec<(i64, DeadLetter)>,
    pub(super) keys: HashMap<EventId, ()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Delayed,
    Suspect,
    Leased,
    Acked,
}

#[derive(Debug, Clone)]
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

impl Tables {
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
    pub(super) fn turn(&mut self, claim: &Claim) -> (usize, usize) {
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

    pub(super) fn bury(&mut self, row: i64, reason: DeadReason, error: Option<String>) {
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

    pub(super) fn claim(&mut self, claim: &Claim) -> Claimed {
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

    pub(super) fn settle(&mut self, settlement: StoreSettlement) -> Outcome {
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

    pub(super) fn stats(&self, channel: &ChannelName) -> Stats {
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

pub(super) fn id_of(index: usize) -> i64 {
    i64::try_from(index + 1).expect("a test has fewer queues than 2^63")
}

pub(super) fn index_of(queue_id: i64) -> usize {
    usize::try_from(queue_id - 1).expect("ids start at 1")
}
