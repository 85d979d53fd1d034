//! Verdicts, each fenced by the token of its claim, and what they do to keys and dead letters.

use std::time::Duration;

use events_core::{ChannelName, DeadLetter, EventId, Timestamp};

use super::tables::{Dead, Key, State, Stored, Tables, after, index_of};
use crate::{CleanUp, DeadReason, Outcome, StoreSettlement, StoreVerdict};

/// The shortest time for which a caller's id is remembered.
const LEAST_KEY: Duration = Duration::from_secs(3600);

impl Tables {
    pub(super) fn settle(&mut self, settlement: StoreSettlement) -> Outcome {
        let now = self.now();
        let StoreSettlement {
            token,
            event_id,
            verdict,
        } = settlement;
        let holding = |row: &Stored| {
            (row.token.row, row.token.fence, row.event.id) == (token.row, token.fence, event_id)
        };
        let Some(at) = self.rows.iter().position(holding) else {
            return Outcome::Gone;
        };
        let row = &mut self.rows[at];
        match row.state {
            // Also after the lease ended, if nobody claimed the event since.
            State::Leased | State::Suspect => {}
            State::Acked => return Outcome::AlreadyAcked,
            State::Ready | State::Delayed => return Outcome::AlreadyNacked,
        }
        match verdict {
            StoreVerdict::Ack => {
                row.state = State::Acked;
                row.acked_at = now;
                if self.retention.is_zero() {
                    self.rows.remove(at);
                }
                self.key_settled(event_id);
            }
            StoreVerdict::Retry { after: wait, error } => {
                row.state = if wait.is_zero() {
                    State::Ready
                } else {
                    State::Delayed
                };
                row.available_at = after(now, wait);
                row.last_error = error.or(row.last_error.take());
            }
            StoreVerdict::Dead { reason, error } => self.bury(token.row, reason, error),
            StoreVerdict::Extend(by) => {
                row.state = State::Leased;
                row.lease_until = after(now, by);
            }
            StoreVerdict::Release { suspect } => {
                row.state = State::Ready;
                if suspect {
                    // It stays one, so its fence is what tells that nobody holds it any more.
                    row.state = State::Suspect;
                    row.token.fence += 1;
                }
                row.token.attempts = row.token.attempts.saturating_sub(1);
            }
        }
        Outcome::Recorded
    }

    /// Moves an event to the dead letters.
    pub(super) fn bury(&mut self, row: i64, reason: DeadReason, error: Option<String>) {
        let Some(at) = self.rows.iter().position(|stored| stored.token.row == row) else {
            return;
        };
        let mut row = self.rows.remove(at);
        row.last_error = error.or(row.last_error.take());
        self.key_settled(row.event.id);
        let died_at = self.now();
        self.dead.push(Dead {
            row,
            reason,
            died_at,
        });
    }

    /// One group less has to settle the event of this key, if it is one.
    fn key_settled(&mut self, id: EventId) {
        let forget_at = after(self.now(), self.retention.max(LEAST_KEY));
        if let Some(key) = self.keys.get_mut(&id) {
            key.expires_at = (key.pending <= 1).then_some(forget_at);
            key.pending = key.pending.saturating_sub(1);
        }
    }

    /// The dead letters of a channel, newest first.
    pub(super) fn letters(&self, channel: &ChannelName) -> Vec<DeadLetter> {
        let letter = |dead: &Dead| {
            let (channel, group) = &self.queues[index_of(dead.row.token.queue_id)];
            let reason = dead.reason.as_str().to_owned();
            let id = dead.row.event.id;
            let mut letter = DeadLetter::new(id, channel.clone(), reason, dead.died_at);
            let parts = &dead.row.event.parts;
            letter.group = group.clone();
            letter.payload = serde_json::from_str(parts.payload.text()).unwrap_or_default();
            letter.metadata = parts
                .metadata
                .as_ref()
                .and_then(|metadata| serde_json::from_str(metadata.text()).ok());
            letter.attempts = dead.row.token.attempts;
            letter.last_error = dead.row.last_error.clone();
            letter.created_at = dead.row.created_at;
            letter
        };
        let letters = self.dead.iter().rev().map(letter);
        let mut letters: Vec<_> = letters.filter(|dead| dead.channel == *channel).collect();
        letters.sort_by_key(|dead| std::cmp::Reverse(dead.died_at));
        letters
    }

    /// Takes dead letters of a channel out, the oldest first.
    pub(super) fn take_dead(
        &mut self,
        channel: &ChannelName,
        ids: Option<&[EventId]>,
    ) -> Vec<Dead> {
        let queues = self.queues_of(channel);
        let wanted = |dead: &mut Dead| {
            queues.contains(&dead.row.token.queue_id)
                && ids.is_none_or(|ids| ids.contains(&dead.row.event.id))
        };
        self.dead.extract_if(.., wanted).collect()
    }

    /// Puts a dead letter back; its attempts are counted anew, and no earlier holding fits it.
    pub(super) fn requeue(&mut self, dead: Dead) {
        let now = self.now();
        let mut row = dead.row;
        row.token.row = self.new_row();
        row.token.fence += 1;
        row.token.attempts = 0;
        row.state = State::Ready;
        row.available_at = now;
        row.expires_at = None;
        if row.token.keyed {
            let key = self.keys.entry(row.event.id).or_default();
            key.pending += 1;
            key.expires_at = None;
        }
        self.rows.push(row);
    }

    /// Deletes what retention has passed.
    pub(super) fn clean_up(&mut self, limit: usize) -> CleanUp {
        let now = self.now();
        let expired = self.expire(None, limit);
        let past = |at: &Timestamp| after(*at, self.retention) <= now;
        let acked = |row: &mut Stored| row.state == State::Acked && past(&row.acked_at);
        let dead = |dead: &mut Dead| dead.reason == DeadReason::Expired && past(&dead.died_at);
        let key = |_: &EventId, key: &mut Key| key.expires_at.is_some_and(|at| at <= now);
        let deleted = [
            self.rows.extract_if(.., acked).take(limit).count(),
            self.keys.extract_if(key).take(limit).count(),
            self.dead.extract_if(.., dead).take(limit).count(),
        ];
        CleanUp {
            deleted: deleted.iter().sum(),
            expired,
            more: expired == limit || deleted.contains(&limit),
        }
    }
}
