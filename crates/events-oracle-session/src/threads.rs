//! The threads behind the workers: begun as they are needed, each with a session, and all of them end.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::thread::Builder;
use std::time::{Duration, Instant};

use events_core::{Error, ErrorKind, Op, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::job::Job;
use crate::server::CONNECT_SECONDS;
use crate::ticket::{Slot, Sweep};
use crate::{Session, closed};

/// A session that was idle for so long is asked whether it still answers before it is used.
const STALE: Duration = Duration::from_secs(30);
/// A thread that is idle for so long ends, and its session with it.
const IDLE: Duration = Duration::from_secs(60);
/// A close waits so long for threads that do nothing but connect: no call ends a login.
const PATIENCE: Duration = Duration::from_secs(CONNECT_SECONDS + 5);
/// How often a close whose patience is over looks whether it still waits for more than a login.
const LOOK: Duration = Duration::from_millis(100);
/// More calls than this are not kept waiting for a session.
const MOST_WAITING: usize = 8192;

pub(crate) type Connect = Box<dyn Fn() -> Result<Session> + Send + Sync>;

pub(crate) struct Shared {
    connect: Connect,
    size: usize,
    pub(crate) backend: &'static str,
    patience: Duration,
    /// How threads are begun; the tests' cannot be.
    builder: fn() -> Builder,
    pub(crate) state: Mutex<State>,
    changed: Condvar,
    over: Condvar,
}

#[derive(Default)]
pub(crate) struct State {
    jobs: VecDeque<Box<dyn Job>>,
    /// A session that is ready before the first thread is.
    first: Option<(Session, Instant)>,
    threads: usize,
    /// Threads that wait for a login; they hold no job meanwhile.
    connecting: usize,
    /// Threads that take no more jobs and are closing their sessions.
    ending: usize,
    idle: usize,
    pub(crate) closed: bool,
    ended: bool,
    /// Claims whose answer may not have been taken yet.
    pub(crate) claims: Vec<Weak<dyn Sweep>>,
    closers: Vec<Arc<Slot<()>>>,
}

impl Shared {
    pub(crate) fn new(
        backend: &'static str,
        size: usize,
        first: Option<Session>,
        connect: Connect,
    ) -> Self {
        Self {
            connect,
            size: size.max(1),
            backend,
            patience: PATIENCE,
            builder: || Builder::new().name("event-channels-oracle".to_owned()),
            state: Mutex::new(State {
                first: first.map(|session| (session, Instant::now())),
                ..State::default()
            }),
            changed: Condvar::new(),
            over: Condvar::new(),
        }
    }

    /// Appends a job of a caller, who is refused when too many wait.
    pub(crate) fn admit(self: &Arc<Self>, job: Box<dyn Job>) {
        if self.state.lock().jobs.len() < MOST_WAITING {
            return self.push(job);
        }
        job.refuse(
            Error::new(ErrorKind::Busy, Op::Open)
                .because(format!(
                    "{MOST_WAITING} calls wait for a session already; wait for some, or raise pool_size"
                ))
                .in_backend(self.backend),
        );
    }

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

    /// Refuses what comes from now on; the slot is told when all sessions have ended.
    pub(crate) fn close(self: &Arc<Self>) -> Arc<Slot<()>> {
        let slot = Slot::new(None);
        let mut state = self.state.lock();
        if state.ended {
            drop(state);
            slot.finish(Ok(()));
            return slot;
        }
        state.closers.push(Arc::clone(&slot));
        self.wind_up(state);
        let shared = Arc::clone(self);
        let watched = (self.builder)().spawn(move || shared.watch_close());
        if let Err(error) = watched {
            tracing::debug!(%error, "the close waits for logins without a limit");
        }
        slot
    }

    /// Lets the threads end when nothing is left to do; a session that none took ends on one too.
    pub(crate) fn wind_up(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        state.closed = true;
        let idle = state.threads == 0 && state.ending == 0 && !state.ended;
        let alone = idle && (state.first.is_some() || !state.closers.is_empty());
        state.threads += usize::from(alone);
        drop(state);
        if alone {
            self.begin_thread();
        }
        self.changed.notify_all();
    }

    /// Ends a close that waits for logins alone; their sessions end when they come.
    fn watch_close(&self) {
        let end = Instant::now() + self.patience;
        let mut state = self.state.lock();
        while !state.ended {
            if Instant::now() < end {
                self.over.wait_until(&mut state, end);
            } else if state.threads == state.connecting && state.ending == 0 {
                return self.all_ended(state);
            } else {
                self.over.wait_for(&mut state, LOOK);
            }
        }
    }

    /// Begins a thread that is counted already.
    fn begin_thread(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        let begun = (self.builder)().spawn(move || shared.work());
        let Err(error) = begun else {
            return;
        };
        let mut state = self.state.lock();
        state.threads -= 1;
        if state.threads > 0 {
            // Another thread will do it.
            return;
        }
        let orphans = std::mem::take(&mut state.jobs);
        if state.closed && state.ending == 0 {
            self.all_ended(state);
        } else {
            drop(state);
        }
        for job in orphans {
            let refused = Error::new(ErrorKind::Busy, Op::Open)
                .because(format!("no thread can be started: {error}"))
                .in_backend(self.backend);
            job.refuse(refused);
        }
    }

    /// The life of a thread.
    fn work(self: Arc<Self>) {
        let (mut session, mut used) = match self.state.lock().first.take() {
            Some((session, made)) => (Some(session), made),
            None => (None, Instant::now()),
        };
        while self.has_job() {
            if used.elapsed() > STALE {
                session = session.filter(Session::is_alive);
            }
            if session.is_none() {
                match self.login() {
                    Ok(made) => session = Some(made),
                    Err(error) => {
                        if let Some(job) = self.take_job() {
                            job.refuse(error);
                        }
                        continue;
                    }
                }
            }
            // Another thread may have taken it meanwhile.
            if let Some(job) = self.take_job() {
                session = session.filter(|session| job.run(session) && is_normal(session));
            }
            used = Instant::now();
        }
        // Closed before anybody is told that the sessions are.
        drop(session);
        self.ended();
    }

    fn take_job(&self) -> Option<Box<dyn Job>> {
        self.state.lock().jobs.pop_front()
    }

    fn login(&self) -> Result<Session> {
        self.state.lock().connecting += 1;
        let made = (self.connect)();
        self.state.lock().connecting -= 1;
        made
    }

    /// Waits for a job; false when this thread is to end. The last thread of a close takes back what
    /// nobody took, and does what comes of that.
    fn has_job(&self) -> bool {
        let mut state = self.state.lock();
        loop {
            if !state.jobs.is_empty() {
                return true;
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
                return false;
            }
            state.idle += 1;
            let waited = self.changed.wait_for(&mut state, IDLE);
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() && !state.closed && state.threads > 1 {
                state.threads -= 1;
                state.ending += 1;
                return false;
            }
        }
    }

    /// A thread has closed its session; the last one of a close says so to who waits.
    fn ended(&self) {
        let mut state = self.state.lock();
        state.ending -= 1;
        if state.closed && state.threads == 0 && state.ending == 0 {
            self.all_ended(state);
        }
    }

    /// Nothing is done any more: what still waits is refused, and who waits for the end is told.
    fn all_ended(&self, mut state: MutexGuard<'_, State>) {
        state.ended = true;
        let first = state.first.take();
        let closers = std::mem::take(&mut state.closers);
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        drop(first);
        self.over.notify_all();
        for job in jobs {
            job.refuse(closed(Op::Shutdown, self.backend));
        }
        closers.iter().for_each(|closer| closer.finish(Ok(())));
    }
}

/// Whether the client knows of nothing that ended the session.
fn is_normal(session: &Session) -> bool {
    matches!(
        session.connection().status(),
        Ok(oracle::ConnStatus::Normal)
    )
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::Workers;

    /// No single step takes longer, however busy the machine is.
    const LIMIT: Duration = Duration::from_secs(60);

    fn shared(connect: impl Fn() -> Result<Session> + Send + Sync + 'static) -> Shared {
        Shared::new("poll_queue", 1, None, Box::new(connect))
    }

    fn refused() -> Error {
        closed(Op::Open, "poll_queue")
    }

    /// What a call answers, unless it hangs.
    fn answer<T: Send + 'static>(call: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let (send, receive) = mpsc::channel();
        thread::spawn(move || send.send(call()));
        receive.recv_timeout(LIMIT).expect("the call is answered")
    }

    #[test]
    fn a_close_does_not_wait_for_a_login_that_hangs() {
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let shared = shared(move || {
            let _ = released.lock().recv();
            Err(refused())
        });
        let workers = Workers(Arc::new(Shared {
            patience: Duration::from_millis(20),
            ..shared
        }));
        let mut waiting = workers.submit(Op::Publish, |_| Ok(()));
        waiting.start();
        while workers.0.state.lock().connecting == 0 {
            thread::yield_now();
        }
        let close = workers.close();
        answer(|| close.wait()).unwrap();
        let error = answer(|| waiting.wait()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        drop(release);
    }

    #[test]
    fn a_close_ends_where_no_thread_can_be_begun() {
        let shared = shared(|| Err(refused()));
        let workers = Workers(Arc::new(Shared {
            builder: || Builder::new().stack_size(usize::MAX / 2),
            ..shared
        }));
        let close = workers.close();
        answer(|| close.wait()).unwrap();
    }

    #[test]
    fn callers_beyond_the_most_that_wait_are_refused() {
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let workers = Workers(Arc::new(shared(move || {
            let _ = released.lock().recv();
            Err(refused())
        })));
        let call = || {
            let mut call = workers.submit(Op::Publish, |_| Ok(()));
            call.start();
            call
        };
        let waiting: Vec<_> = (0..MOST_WAITING).map(|_| call()).collect();
        let one_more = call();
        let error = answer(|| one_more.wait()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        assert!(error.to_string().contains("pool_size"), "{error}");
        drop(release);
        for call in waiting {
            assert_eq!(call.wait().unwrap_err().kind(), ErrorKind::Closed);
        }
    }
}
