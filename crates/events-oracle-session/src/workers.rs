//! Threads with a session each, which take jobs from async and blocking callers.

use std::fmt;
use std::sync::{Arc, Weak};

use events_core::{Op, Pending, Result};

use crate::job::Work;
use crate::threads::Shared;
use crate::ticket::{Salvage, Slot, Sweep, Ticket};
use crate::{Session, closed};

/// A bounded number of threads, begun as they are needed, each with a session of its own.
pub struct Workers(pub(crate) Arc<Shared>);

impl Workers {
    /// At most `size` sessions, made by `connect`; the first job gets the session that is there
    /// already.
    pub fn new(
        backend: &'static str,
        size: usize,
        first: Session,
        connect: impl Fn() -> Result<Session> + Send + Sync + 'static,
    ) -> Self {
        let connect = Box::new(connect);
        Self(Arc::new(Shared::new(backend, size, Some(first), connect)))
    }

    /// Work on a session. It joins the queue when it is polled, started or waited for, and from
    /// then on it is done whatever happens to the answer; dropped before that, it is not.
    ///
    /// The work commits what it does. When it fails it is rolled back, and run again if another
    /// session stood in its way.
    pub fn submit<T: Send + 'static>(
        &self,
        op: Op,
        work: impl FnMut(&Session) -> Result<T> + Send + 'static,
    ) -> Pending<T> {
        if self.0.state.lock().closed {
            return Pending::ready(Err(closed(op, self.0.backend)));
        }
        self.ticket(op, Slot::new(None), true, work)
    }

    /// The same, even after the close, and however many wait.
    pub fn submit_own<T: Send + 'static>(
        &self,
        op: Op,
        work: impl FnMut(&Session) -> Result<T> + Send + 'static,
    ) -> Pending<T> {
        self.ticket(op, Slot::new(None), false, work)
    }

    /// Work whose answer is given to `salvage` when nobody takes it, at the latest at the close.
    pub fn submit_salvaged<T: Send + 'static>(
        &self,
        op: Op,
        salvage: impl Fn(T) + Send + Sync + 'static,
        work: impl FnMut(&Session) -> Result<T> + Send + 'static,
    ) -> Pending<T> {
        let slot = Slot::new(Some(Box::new(salvage) as Salvage<T>));
        let mut state = self.0.state.lock();
        if state.closed {
            return Pending::ready(Err(closed(op, self.0.backend)));
        }
        state.claims.retain(|claim| claim.strong_count() > 0);
        let claim: Weak<dyn Sweep> = Arc::downgrade(&(Arc::clone(&slot) as Arc<dyn Sweep>));
        state.claims.push(claim);
        drop(state);
        self.ticket(op, slot, true, work)
    }

    fn ticket<T: Send + 'static>(
        &self,
        op: Op,
        slot: Arc<Slot<T>>,
        bounded: bool,
        work: impl FnMut(&Session) -> Result<T> + Send + 'static,
    ) -> Pending<T> {
        let job = Work {
            op,
            backend: self.0.backend,
            slot: Arc::clone(&slot),
            work: Some(work),
        };
        Pending::started(Ticket::new(
            slot,
            Arc::clone(&self.0),
            bounded,
            Box::new(job),
        ))
    }

    /// A handle that does not keep the threads alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakWorkers {
        WeakWorkers(Arc::downgrade(&self.0))
    }

    /// Refuses what comes from now on, does what was asked for, salvages what nobody took, and
    /// ends the sessions, also if nobody waits for it. A second call is answered with the first.
    pub fn close(&self) -> Pending<()> {
        let slot = self.0.close();
        Pending::from_future(std::future::poll_fn(move |cx| slot.poll(cx)))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.0.wind_up(self.0.state.lock());
    }
}

/// Workers that somebody else keeps.
#[derive(Clone)]
pub struct WeakWorkers(Weak<Shared>);

impl WeakWorkers {
    /// As [`Workers::submit_own`], done whether or not anybody asks for the answer; nothing when
    /// the workers are gone.
    pub fn run<T: Send + 'static>(
        &self,
        op: Op,
        work: impl FnMut(&Session) -> Result<T> + Send + 'static,
    ) {
        if let Some(shared) = self.0.upgrade() {
            let slot = Slot::new(None);
            shared.push(Box::new(Work {
                op,
                backend: shared.backend,
                slot,
                work: Some(work),
            }));
        }
    }
}

impl fmt::Debug for WeakWorkers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakWorkers")
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("backend", &self.0.backend)
            .finish_non_exhaustive()
    }
}
