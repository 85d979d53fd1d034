//! Threads with a session each, which take jobs from async and blocking callers.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use events_core::{Error, ErrorKind, Op, Pending, Result};
use parking_lot::{Condvar, Mutex};

use crate::job::{Job, Work};
use crate::ticket::{Salvage, Slot, Sweep, Ticket};
use crate::{Session, closed};

/// A session that was idle for so long is asked whether it still answers before it is used.
const STALE: Duration = Duration::from_secs(30);
/// A thread that is idle for so long ends, and its session with it.
const IDLE: Duration = Duration::from_secs(60);

type Connect = Box<dyn Fn() -> Result<Session> + Send + Sync>;

/// A bounded number of threads, begun as they are needed, each with a session of its own.
pub struct Workers(Arc<Shared>);

pub(crate) struct Shared {
    connect: Connect,
    size: usize,
    backend: &'static str,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Box<dyn Job>>,
    /// A session that is ready before the first thread is.
    first: Option<(Session, Instant)>,
    threads: usize,
    /// Threads that take no more jobs and are closing their sessions.
    ending: usize,
    idle: usize,
    closed: bool,
    ended: bool,
    /// Claims whose answer may not have been taken yet.
    claims: Vec<Weak<dyn Sweep>>,
    closers: Vec<Arc<Slot<()>>>,
}

impl Workers {
    /// At most `size` sessions, made by `connect`; the first job gets the session that is there
    /// already.
    pub fn new(
        backend: &'static str,
        size: usize,
        first: Session,
        connect: impl Fn() -> Result<Session> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            connect: Box::new(connect),
            size: size.max(1),
            backend,
            state: Mutex::new(State {
                first: Some((first, Instant::now())),
                ..State::default()
            }),
            changed: Condvar::new(),
        }))
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
        self.submit_own(op, work)
    }

    /// The same, even after the close.
    pub fn submit_own<T: Send + 'static>(
        &self,
        op: Op,
        work: impl FnMut(&Session) -> Result<T> + Send + 'static,
    ) -> Pending<T> {
        self.ticket(op, Slot::new(None), work)
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
        self.ticket(op, slot, work)
    }

    fn ticket<T: Send + 'static>(
        &self,
        op: Op,
        slot: Arc<Slot<T>>,
        work: impl FnMut(&Session) -> Result<T> + Send + 'static,
    ) -> Pending<T> {
        let job = Work {
            op,
            backend: self.0.backend,
            slot: Arc::clone(&slot),
            work: Some(work),
        };
        Pending::started(Ticket::new(slot, Arc::clone(&self.0), Box::new(job)))
    }

    /// A handle that does not keep the threads alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakWorkers {
        WeakWorkers(Arc::downgrade(&self.0))
    }

    /// Refuses what comes from now on, does what was asked for, salvages what nobody took, and
    /// ends the sessions, also if nobody waits for it. A second call is answered with the first.
    pub fn close(&self) -> Pending<()> {
        let slot = Slot::new(None);
        let mut state = self.0.state.lock();
        if state.ended {
            return Pending::ready(Ok(()));
        }
        state.closed = true;
        state.closers.push(Arc::clone(&slot));
        let alone = state.threads == 0;
        state.threads += usize::from(alone);
        drop(state);
        if alone {
            self.0.begin_thread();
        }
        self.0.changed.notify_all();
        Pending::from_future(std::future::poll_fn(move |cx| slot.poll(cx)))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.0.state.lock().closed = true;
        self.0.changed.notify_all();
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

impl Shared {
    /// Appends a job, and begins a thread if none is idle and one more may be.
    pub(crate) fn push(self: &Arc<Self>, job: Box<dyn Job>) {
        let mut state = self.state.lock();
        if state.ended {
            drop(state);
            return job.refuse(closed(Op::Shutdown, self.backend));
        }
        state.jobs.push_back(job);
        let wanted = state.idle < state.jobs.len() && state.threads < self.size;
        state.threads += usize::from(wanted);
        drop(state);
        self.changed.notify_one();
        if wanted {
            self.begin_thread();
        }
    }

    /// Begins a thread that is counted already.
    fn begin_thread(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        let begun = std::thread::Builder::new()
            .name("event-channels-oracle".to_owned())
            .spawn(move || shared.work());
        if let Err(error) = begun {
            let mut state = self.state.lock();
            state.threads -= 1;
            // Another thread will do it; without one nobody would.
            let orphans = if state.threads == 0 {
                std::mem::take(&mut state.jobs)
            } else {
                VecDeque::new()
            };
            drop(state);
            for job in orphans {
                let refused = Error::new(ErrorKind::Busy, Op::Open)
                    .because(format!("no thread can be started: {error}"))
                    .in_backend(self.backend);
                job.refuse(refused);
            }
        }
    }

    /// The life of a thread.
    fn work(self: Arc<Self>) {
        let (mut session, mut used) = match self.state.lock().first.take() {
            Some((session, made)) => (Some(session), made),
            None => (None, Instant::now()),
        };
        while let Some(job) = self.next_job() {
            if used.elapsed() > STALE {
                session = session.filter(Session::is_alive);
            }
            if session.is_none() {
                match (self.connect)() {
                    Ok(made) => session = Some(made),
                    Err(error) => {
                        job.refuse(error);
                        continue;
                    }
                }
            }
            session = session.filter(|session| job.run(session) && is_normal(session));
            used = Instant::now();
        }
        // Closed before anybody is told that the sessions are.
        drop(session);
        self.ended();
    }

    /// The next job, or `None` when this thread is to end. The last thread of a close takes back
    /// what nobody took, and does what comes of that.
    fn next_job(&self) -> Option<Box<dyn Job>> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                let claims = std::mem::take(&mut state.claims);
                if state.threads == 1 && !claims.is_empty() {
                    drop(state);
                    let claims = claims.iter().filter_map(Weak::upgrade);
                    claims.for_each(|claim| claim.sweep(self.backend));
                    state = self.state.lock();
                    continue;
                }
                // They are left for the last thread.
                state.claims.extend(claims);
                state.threads -= 1;
                state.ending += 1;
                return None;
            }
            state.idle += 1;
            let waited = self.changed.wait_for(&mut state, IDLE);
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() && !state.closed && state.threads > 1 {
                state.threads -= 1;
                state.ending += 1;
                return None;
            }
        }
    }

    /// A thread has closed its session; the last one of a close says so to who waits.
    fn ended(&self) {
        let mut state = self.state.lock();
        state.ending -= 1;
        if state.closed && state.threads == 0 && state.ending == 0 {
            state.ended = true;
            let first = state.first.take();
            let closers = std::mem::take(&mut state.closers);
            drop(state);
            drop(first);
            closers.iter().for_each(|closer| closer.finish(Ok(())));
        }
    }
}

/// Whether the client knows of nothing that ended the session.
fn is_normal(session: &Session) -> bool {
    matches!(
        session.connection().status(),
        Ok(oracle::ConnStatus::Normal)
    )
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("size", &self.0.size)
            .finish_non_exhaustive()
    }
}
