//! Keeps the leases of events alive while their handlers run, and until their verdicts are recorded.
//!
//! One task for each listener, apart from its handlers, so that a handler which blocks its thread
//! does not lose its event.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use events_core::{
    Error, ErrorKind, EventId, EventMessage, Op, Receipt, Result, Settled, Settlement,
    SettlementMode, Verdict,
};
use tokio::sync::Notify;

use crate::held::lease_left;
use crate::shared::Shared;

/// Without a known lease.
const USUAL_LEASE: Duration = Duration::from_secs(30);
/// A lease shorter than this cannot be renewed in time anyway.
const LEAST_LEASE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Renewals {
    shared: Arc<Shared>,
    /// An event is not renewed for longer than its handler may run.
    at_most: Option<Duration>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next_key: u64,
    holds: HashMap<u64, Hold>,
    /// When the task looks again; `None` while it sleeps until it is notified.
    next_look: Option<Instant>,
    cut: bool,
}

#[derive(Debug, Clone, Copy)]
struct Hold {
    event_id: EventId,
    receipt: Receipt,
    lease: Duration,
    started: Instant,
    /// The lease ends then, by our clock.
    until: Instant,
    /// To be renewed then; `None` if never.
    due: Option<Instant>,
    /// The handler ended; the verdict is on its way.
    ended: bool,
}

impl Renewals {
    pub(crate) fn new(shared: Arc<Shared>, at_most: Option<Duration>) -> Self {
        Self {
            shared,
            at_most,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// A handler starts. Events are handed over with at least half a lease left, so a third is
    /// soon enough for the first renewal. Answers the key, or `None` after [`Renewals::cut`].
    pub(crate) fn begin(&self, message: &EventMessage, started: Instant) -> Option<u64> {
        let receipt = message.receipt();
        let lease = self.shared.backend.lease().unwrap_or_else(|| {
            lease_left(message).map_or(USUAL_LEASE, |left| left.clamp(LEAST_LEASE, USUAL_LEASE))
        });
        let renewed = self.shared.capabilities.settlement == SettlementMode::Lease
            && matches!(receipt, Receipt::Held(_));
        let hold = Hold {
            event_id: message.event_id,
            receipt,
            lease,
            started,
            until: started + lease,
            due: renewed.then(|| started + lease / 3),
            ended: false,
        };
        let mut state = self.lock();
        if state.cut {
            return None;
        }
        let key = state.next_key;
        state.next_key += 1;
        state.holds.insert(key, hold);
        if let Some(due) = hold.due
            && state.next_look.is_none_or(|at| due < at)
        {
            // The look stays planned when this handler ends at once, so that quick handlers wake
            // the task once per third of a lease and not once per event.
            state.next_look = Some(due);
            drop(state);
            self.changed.notify_one();
        }
        Some(key)
    }

    /// A handler ended; answers what it held and until when. `None` if that was cut off.
    ///
    /// The lease is renewed until [`Renewals::forget`]: verdicts gather while the next handler
    /// runs, however long that takes.
    pub(crate) fn end(&self, key: u64) -> Option<(EventId, Receipt, Instant)> {
        let mut state = self.lock();
        let hold = state.holds.get_mut(&key)?;
        hold.ended = true;
        Some((hold.event_id, hold.receipt, hold.until))
    }

    /// These verdicts are recorded, or given up.
    pub(crate) fn forget(&self, keys: impl IntoIterator<Item = u64>) {
        let mut state = self.lock();
        for key in keys {
            state.holds.remove(&key);
        }
    }

    /// Ends all renewals for good; answers what running handlers hold.
    pub(crate) fn cut(&self) -> Vec<(EventId, Receipt)> {
        let mut state = self.lock();
        state.cut = true;
        let holds = std::mem::take(&mut state.holds);
        holds
            .into_values()
            .filter(|hold| !hold.ended)
            .map(|hold| (hold.event_id, hold.receipt))
            .collect()
    }

    /// Renews until the task is aborted.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let next_look = self.lock().next_look;
            match next_look {
                None => self.changed.notified().await,
                Some(at) => {
                    // A change can only bring the look forward, so it is looked at anew.
                    tokio::select! {
                        () = tokio::time::sleep_until(at.into()) => self.renew().await,
                        () = self.changed.notified() => {}
                    }
                }
            }
        }
    }

    async fn renew(&self) {
        let asked = Instant::now();
        let due = self.take_due(asked);
        if due.is_empty() {
            return;
        }
        let settlements = due
            .iter()
            .map(|(_, hold)| Settlement {
                event_id: hold.event_id,
                receipt: hold.receipt,
                verdict: Verdict::Extend(hold.lease),
            })
            .collect();
        match self.shared.send(settlements).await {
            Ok(answers) => {
                for ((key, hold), answer) in due.iter().zip(answers) {
                    self.renewed(*key, hold, asked, answer);
                }
            }
            Err(error) => {
                for (key, hold) in &due {
                    self.renewed(*key, hold, asked, Err(error.clone()));
                }
            }
        }
    }

    /// What is to be renewed now, with what is due soon after, and when to look again.
    fn take_due(&self, now: Instant) -> Vec<(u64, Hold)> {
        let mut state = self.lock();
        let mut due = Vec::new();
        for (key, hold) in &mut state.holds {
            let overdue = |most| now >= hold.started + most;
            if !hold.ended && self.at_most.is_some_and(overdue) {
                hold.due = None;
            }
            if hold.due.is_some_and(|at| at <= now + hold.lease / 12) {
                hold.due = Some(now + hold.lease / 3);
                due.push((*key, *hold));
            }
        }
        state.next_look = state.holds.values().filter_map(|hold| hold.due).min();
        due
    }

    fn renewed(&self, key: u64, asked_for: &Hold, asked: Instant, answer: Result<Settled>) {
        let mut state = self.lock();
        let Some(hold) = state.holds.get_mut(&key) else {
            return; // its verdict was recorded meanwhile
        };
        match answer {
            Ok(Settled::Recorded) => hold.until = asked + hold.lease,
            // The handler settled it by itself.
            Ok(_) => hold.due = None,
            Err(error) if error.kind() == ErrorKind::HoldLost => {
                hold.due = None;
                // Once the handler has ended, the answer to its verdict tells.
                let runs = !hold.ended;
                drop(state);
                if !runs {
                    return;
                }
                tracing::warn!(
                    event_id = %asked_for.event_id,
                    "the event was claimed by another consumer while its handler runs; the handler goes on, but its verdict will not count"
                );
            }
            Err(error) => {
                let again = Instant::now() + hold.lease / 12;
                hold.due = (error.kind() != ErrorKind::Closed).then_some(again);
                if state.next_look.is_none_or(|at| again < at) {
                    state.next_look = Some(again);
                }
                drop(state);
                let error = error.during(Op::Extend);
                warn_failed(&error, asked_for.event_id);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn_failed(error: &Error, event_id: EventId) {
    tracing::warn!(%error, %event_id, "a lease was not renewed and will be tried again");
}
