//! How a desk ends: waiting calls are broken, what was not handed over goes back, sessions log off.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use events_core::{Error, ErrorKind, Op, Result, Settlement, Verdict};

use super::{Desk, Ready};

/// How often a call that is to end is broken, until it has.
const AGAIN: Duration = Duration::from_millis(20);
/// A shutdown lets commits and rollbacks that are under way take so long before it breaks them.
const GRACE: Duration = Duration::from_secs(5);
/// A shutdown waits so long for sessions that do not end.
const PATIENCE: Duration = Duration::from_secs(20);

impl Desk {
    /// The consumer is gone: waiting calls end, what it was not given goes back.
    pub(crate) fn leave(self: &Arc<Self>) {
        self.close(false);
    }

    /// The backend is shut down.
    pub(crate) fn end(self: &Arc<Self>) {
        self.close(true);
    }

    fn close(self: &Arc<Self>, ended: bool) {
        let busy = {
            let mut state = self.state.lock();
            state.left = true;
            state.ended |= ended;
            state.calls.values().any(|call| call.waits) || (ended && state.alive > 0)
        };
        self.changed.notify_all();
        self.arrived.notify(usize::MAX);
        self.give_back();
        if busy {
            let desk = Arc::clone(self);
            // A break that comes between two calls ends neither, so it is given until they have ended.
            let spawned = thread::Builder::new()
                .name("events-aq-stop".to_owned())
                .spawn(move || desk.stop());
            if let Err(error) = spawned {
                tracing::debug!(%error, "waiting dequeues end by themselves");
            }
        }
    }

    /// Breaks what waits; after a shutdown also what takes too long, until no session is left.
    fn stop(&self) {
        let begun = Instant::now();
        let mut state = self.state.lock();
        loop {
            let late = state.ended && begun.elapsed() >= GRACE;
            let mut calls: Vec<_> = state.calls.values().cloned().collect();
            calls.retain(|call| call.waits || late);
            let stays = state.ended && state.alive > state.connecting;
            if calls.is_empty() && !stays {
                return;
            }
            if stays && begun.elapsed() >= PATIENCE {
                state.given_up = true;
                self.arrived.notify(usize::MAX);
                return;
            }
            drop(state);
            calls.iter().for_each(|call| call.interrupter.interrupt());
            drop(calls);
            state = self.state.lock();
            if state.alive > 0 {
                self.changed.wait_for(&mut state, AGAIN);
            }
        }
    }

    pub(super) fn give_back(&self) {
        let ready = std::mem::take(&mut self.state.lock().ready);
        for Ready { item, hold } in ready {
            if let (Some(_), Ok(message)) = (hold, item) {
                let _ = self.context.settle(Settlement {
                    event_id: message.event_id,
                    receipt: message.receipt(),
                    verdict: Verdict::Release,
                });
            }
        }
    }

    /// Resolves when no session is left but such as are still connecting.
    ///
    /// `Timeout` when some do not end: the server then rolls back what they hold when it finds that
    /// they are gone.
    pub(crate) async fn ended(&self) -> Result<()> {
        loop {
            let listener = self.listen();
            {
                let state = self.state.lock();
                if state.alive == state.connecting {
                    return Ok(());
                }
                if state.given_up {
                    let left = state.alive - state.connecting;
                    return Err(Error::new(ErrorKind::Timeout, Op::Shutdown)
                        .because(format!(
                            "{left} sessions of channel {} did not end within {PATIENCE:?}; what they hold is rolled back with them",
                            self.channel
                        ))
                        .in_backend(self.context.name));
                }
            }
            listener.await;
        }
    }
}
