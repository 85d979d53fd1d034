//! Claiming: what is due is moved to where it belongs, then a batch is leased.

use std::cmp::Reverse;
use std::time::Duration;

use events_core::Timestamp;

use super::tables::{State, Stored, Tables, after};
use crate::{Claim, Claimed, DeadReason, LEASE_ENDED, Row};

impl Tables {
    pub(super) fn claim(&mut self, claim: &Claim) -> Claimed {
        let now = self.now();
        let leases_end = self.clock.leases_end_before(claim.lease);
        let trusted = leases_end != i64::MIN;
        let (dead, expired) = self.turn(claim, now, trusted);
        let queue = |row: &&mut Stored| row.token.queue_id == claim.queue_id;
        let mut open: Vec<&mut Stored> = self
            .rows
            .iter_mut()
            .filter(queue)
            .filter(|row| matches!(row.state, State::Ready | State::Suspect))
            .collect();
        // Of one priority, suspects come first.
        open.sort_by_key(|row| {
            let ready = row.state == State::Ready;
            (Reverse(row.token.priority), ready, row.token.row)
        });
        let alone = open.first().is_some_and(|row| row.state == State::Suspect);
        let limit = match (alone, claim.suspects) {
            (true, true) => 1,
            (true, false) => 0,
            (false, _) => claim.limit,
        };
        // Ready events that a suspect one stands before are left for a later claim.
        let taken = open
            .into_iter()
            .take_while(|row| alone || row.state == State::Ready);
        let rows: Vec<Row> = taken
            .take(limit)
            .map(|row| lease(row, after(now, claim.lease)))
            .collect();
        Claimed {
            rows,
            alone,
            next_due: self.next_due(claim.queue_id, now, trusted),
            told: false,
            begun: None,
            dead,
            expired,
        }
    }

    /// Moves what is due: ended leases, delayed events, expired ones. While the clock is not
    /// trusted no lease has ended.
    fn turn(&mut self, claim: &Claim, now: Timestamp, trusted: bool) -> (usize, usize) {
        let mut ended = Vec::new();
        for row in self.rows.iter_mut() {
            if row.token.queue_id != claim.queue_id {
                continue;
            }
            match row.state {
                State::Leased if trusted && row.lease_until <= now => {
                    if row.token.attempts >= claim.max_attempts {
                        ended.push(row.token.row);
                    } else {
                        row.state = State::Suspect;
                    }
                }
                State::Delayed if row.available_at <= now => row.state = State::Ready,
                _ => {}
            }
        }
        for row in &ended {
            self.bury(*row, DeadReason::MaxAttempts, Some(LEASE_ENDED.to_owned()));
        }
        let expired = self.expire(Some(claim.queue_id), usize::MAX);
        (ended.len(), expired)
    }

    /// Buries what nobody claimed in time, of one queue or of all; answers how many.
    pub(super) fn expire(&mut self, queue_id: Option<i64>, limit: usize) -> usize {
        let now = self.now();
        let mut expired: Vec<_> = self
            .rows
            .iter()
            .filter(|row| queue_id.is_none_or(|queue_id| row.token.queue_id == queue_id))
            .filter(|row| !matches!(row.state, State::Leased | State::Acked))
            .filter_map(|row| Some((row.token.queue_id, row.expires_at?, row.token.row)))
            .filter(|(_, at, _)| *at <= now)
            .collect();
        expired.sort();
        expired.truncate(limit);
        for (.., row) in &expired {
            self.bury(*row, DeadReason::Expired, None);
        }
        expired.len()
    }

    fn next_due(&self, queue_id: i64, now: Timestamp, trusted: bool) -> Option<Duration> {
        let due = |row: &Stored| match row.state {
            State::Delayed => [Some(row.available_at), row.expires_at],
            State::Ready | State::Suspect => [row.expires_at, None],
            State::Leased => [trusted.then_some(row.lease_until), None],
            State::Acked => [None, None],
        };
        let rows = self
            .rows
            .iter()
            .filter(|row| row.token.queue_id == queue_id);
        let next = rows.flat_map(due).flatten().min()?;
        Some(Duration::try_from(next.duration_since(now)).unwrap_or_default())
    }
}

fn lease(row: &mut Stored, until: Timestamp) -> Row {
    row.state = State::Leased;
    row.token.attempts += 1;
    row.token.fence += 1;
    row.lease_until = until;
    let parts = &row.event.parts;
    Row {
        token: row.token,
        event_id: row.event.id,
        payload: parts.payload.text().to_owned(),
        metadata: parts.metadata.as_ref().map(|m| m.text().to_owned()),
        available_at: row.available_at,
        lease_expires_at: row.lease_until,
        created_at: row.created_at,
        expires_at: row.expires_at,
    }
}
