//! The tasks that carry out operations, counted, so that a close can wait for them.

use std::fmt;
use std::sync::{Arc, Weak};

use event_listener::Event;
use events_core::{Error, ErrorKind, Op, Pending, Result};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::error::BACKEND;
use crate::ticket::{Begun, Salvage, Slot, Sweep, Ticket};

/// Starts operations on one runtime.
pub(crate) struct Tasks {
    /// The name of the backend, for errors.
    pub(crate) name: &'static str,
    runtime: Handle,
    state: Mutex<State>,
    idle: Event,
}

#[derive(Default)]
struct State {
    running: usize,
    closed: bool,
    /// Claims whose answer may not have been taken yet.
    claims: Vec<Weak<dyn Sweep>>,
}

impl Tasks {
    pub(crate) fn new(name: &'static str, runtime: Handle) -> Arc<Self> {
        Arc::new(Self {
            name,
            runtime,
            state: Mutex::default(),
            idle: Event::new(),
        })
    }

    /// An operation; its task starts when it is polled, started or waited for.
    pub(crate) fn submit<T, F>(
        self: &Arc<Self>,
        op: Op,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> Pending<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.submit_line(op, move || Begun::whatever(work()))
    }

    /// An operation that stands in a line, for which there may be no room.
    pub(crate) fn submit_line<T: Send + 'static>(
        self: &Arc<Self>,
        op: Op,
        work: impl FnOnce() -> Begun<T> + Send + 'static,
    ) -> Pending<T> {
        if self.state.lock().closed {
            return Pending::ready(Err(closed(op).in_backend(self.name)));
        }
        self.submit_own(op, work)
    }

    /// An operation whose answer needs care when nobody takes it.
    pub(crate) fn submit_salvaged<T, F>(
        self: &Arc<Self>,
        op: Op,
        salvage: Salvage<T>,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> Pending<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let slot = Slot::new(Some(salvage));
        let mut state = self.state.lock();
        if state.closed {
            return Pending::ready(Err(closed(op).in_backend(self.name)));
        }
        state.claims.retain(|claim| claim.strong_count() > 0);
        let claim: Weak<dyn Sweep> = Arc::downgrade(&(Arc::clone(&slot) as Arc<dyn Sweep>));
        state.claims.push(claim);
        drop(state);
        Pending::started(Ticket::new(
            slot,
            Arc::clone(self),
            op,
            Box::new(move || Begun::whatever(work())),
        ))
    }

    /// An operation of the store's own, which is done even if the close came before it.
    pub(crate) fn submit_own<T: Send + 'static>(
        self: &Arc<Self>,
        op: Op,
        work: impl FnOnce() -> Begun<T> + Send + 'static,
    ) -> Pending<T> {
        Pending::started(Ticket::new(
            Slot::new(None),
            Arc::clone(self),
            op,
            Box::new(work),
        ))
    }

    /// Runs a task that the close waits for.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> AbortHandle {
        self.state.lock().running += 1;
        let running = Running(Arc::clone(self));
        let task = self.runtime.spawn(async move {
            let _running = running;
            work.await;
        });
        task.abort_handle()
    }

    /// Refuses what comes from now on; answers whether this was the first call.
    pub(crate) fn close(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().closed, true)
    }

    /// Takes back every answer that nobody took.
    pub(crate) fn sweep(&self) {
        let claims = std::mem::take(&mut self.state.lock().claims);
        claims
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|claim| claim.sweep());
    }

    /// Waits until no more than `others` tasks run.
    pub(crate) async fn drained(&self, others: usize) {
        loop {
            let listener = self.idle.listen();
            if self.state.lock().running <= others {
                return;
            }
            listener.await;
        }
    }
}

struct Running(Arc<Tasks>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.state.lock().running -= 1;
        self.0.idle.notify(usize::MAX);
    }
}

/// The answer to whatever comes after the close.
pub(crate) fn closed(op: Op) -> Error {
    Error::new(ErrorKind::Closed, op)
        .because("the channel was shut down; open a new one")
        .in_backend(BACKEND)
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks")
            .field("running", &self.state.lock().running)
            .finish_non_exhaustive()
    }
}
