//! Who does the work of publishing: whoever waits for it.
//!
//! One of those who wait has the wheel and drives the statement under way, connection included. So
//! one publisher waits for one round trip and no change of task or thread, and many share each.
//! What a statement waits for wakes all who wait, so none depends on another to go on polling.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use events_core::Result;
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;

use crate::job::{Job, Ticket};

/// Events of this many jobs at most share a statement, unless one job alone has more.
const STATEMENT_EVENTS: usize = 1_000;

/// Nobody is at work: what happens wakes those who wait.
const QUIET: u8 = 0;
/// Somebody is, and finds out what happens by himself.
const BUSY: u8 = 1;
/// Something has happened that nobody has looked at yet.
const CALLED: u8 = 2;

/// A statement under way, answers included.
pub(crate) struct Statement {
    /// The runtime that its connection and its timers belong to.
    pub(crate) runtime: Handle,
    pub(crate) work: Pin<Box<dyn Future<Output = ()> + Send>>,
}

#[derive(Default)]
pub(crate) struct Wheel {
    queue: Mutex<Queue>,
    /// Locked by whoever drives.
    statement: Mutex<Option<Statement>>,
    /// One of the three above.
    attention: AtomicU8,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Those of the statement under way.
    sending: Vec<Arc<Ticket>>,
}

impl Wheel {
    /// Queues a job, which is done when somebody drives.
    pub(crate) fn push(&self, job: Job) {
        self.queue.lock().jobs.push_back(job);
    }

    /// Drives until there is an answer, or nothing more can be done now; then its waker is kept.
    /// `begin` makes the next statement.
    pub(crate) fn poll(
        self: &Arc<Self>,
        ticket: &Ticket,
        cx: &mut Context<'_>,
        begin: impl Fn(Vec<Job>) -> Statement,
    ) -> Poll<Result<()>> {
        // Before the wheel is tried: whoever lets go of it wakes those who have found it taken.
        if ticket.wait(cx.waker())
            && let Some(statement) = self.statement.try_lock()
        {
            let mut driver = Driver {
                wheel: self,
                statement: Some(statement),
                is_waiting: false,
            };
            driver.is_waiting = driver.drive(ticket, cx, begin).is_pending();
        }
        ticket.answered().map_or(Poll::Pending, Poll::Ready)
    }

    /// Jobs that can share a statement.
    fn next_jobs(&self) -> Option<Vec<Job>> {
        let mut queue = self.queue.lock();
        let mut jobs = Vec::new();
        let mut events = 0;
        while let Some(job) = queue.jobs.front() {
            events += job.events.len();
            if events > STATEMENT_EVENTS && !jobs.is_empty() {
                break;
            }
            jobs.extend(queue.jobs.pop_front());
        }
        queue.sending = jobs.iter().map(|job| Arc::clone(&job.ticket)).collect();
        (!jobs.is_empty()).then_some(jobs)
    }

    /// Whether nothing has happened meanwhile; from now on it wakes those who wait.
    fn fall_quiet(&self) -> bool {
        self.attention
            .compare_exchange(BUSY, QUIET, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// Wakes those who wait.
    fn call(&self) {
        let queue = self.queue.lock();
        let queued = queue.jobs.iter().map(|job| &job.ticket);
        let tickets = queue.sending.iter().chain(queued);
        let wakers: Vec<Waker> = tickets.filter_map(|ticket| ticket.waker()).collect();
        drop(queue);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Gives up what nobody can drive any more, and tells who waits for it.
    pub(crate) fn abandon(&self) {
        let jobs = std::mem::take(&mut self.queue.lock().jobs);
        drop(jobs);
        if let Some(mut statement) = self.statement.try_lock() {
            drop(statement.take());
        }
    }
}

/// Who has the wheel, until this is dropped.
struct Driver<'a> {
    wheel: &'a Arc<Wheel>,
    statement: Option<MutexGuard<'a, Option<Statement>>>,
    /// For what the statement waits for.
    is_waiting: bool,
}

impl Driver<'_> {
    /// Pending when a statement is under way that cannot go on now.
    fn drive(
        &mut self,
        ticket: &Ticket,
        cx: &mut Context<'_>,
        begin: impl Fn(Vec<Job>) -> Statement,
    ) -> Poll<()> {
        let wheel = self.wheel;
        let waker = Waker::from(Arc::clone(wheel));
        let Some(statement) = self.statement.as_deref_mut() else {
            return Poll::Ready(());
        };
        while ticket.answered().is_none() {
            // Taken out, so that one whose work panics is gone.
            let next = || wheel.next_jobs().map(&begin);
            let Some(mut under_way) = statement.take().or_else(next) else {
                break;
            };
            // What happens from here to `fall_quiet` is looked at here: nobody has to be woken.
            wheel.attention.store(BUSY, Ordering::SeqCst);
            drop(ticket.waker());
            let done = {
                let _inside = under_way.runtime.enter();
                let mut cx = Context::from_waker(&waker);
                under_way.work.as_mut().poll(&mut cx).is_ready()
            };
            if done {
                continue;
            }
            *statement = Some(under_way);
            if ticket.wait(cx.waker()) && wheel.fall_quiet() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Driver<'_> {
    fn drop(&mut self) {
        if !self.is_waiting {
            self.wheel.attention.store(QUIET, Ordering::SeqCst);
        }
        self.statement = None;
        // There may be more to do, or something has just happened and others found the wheel taken.
        if !self.is_waiting || self.wheel.attention.load(Ordering::SeqCst) == CALLED {
            self.wheel.call();
        }
    }
}

impl Wake for Wheel {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.attention.swap(CALLED, Ordering::SeqCst) == QUIET {
            self.call();
        }
    }
}
