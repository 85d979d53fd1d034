//! The caller's end of a job: a future whose work a worker carries out.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use events_core::{Op, Operation, Result, block_on_until};
use parking_lot::Mutex;

use crate::closed;
use crate::job::Job;
use crate::threads::Shared;

/// What to do with an answer that nobody takes.
pub(crate) type Salvage<T> = Box<dyn Fn(T) + Send + Sync>;

/// Where a worker leaves its answer.
pub(crate) struct Slot<T> {
    state: Mutex<State<T>>,
    salvage: Option<Salvage<T>>,
}

enum State<T> {
    /// Under way; the waker of whoever awaits it.
    Waiting(Option<Waker>),
    /// Given up by its caller: it is done all the same, and its answer salvaged.
    Abandoned,
    Done(Result<T>),
    Taken,
}

impl<T> Slot<T> {
    pub(crate) fn new(salvage: Option<Salvage<T>>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::Waiting(None)),
            salvage,
        })
    }

    /// Leaves the answer and wakes the caller.
    pub(crate) fn finish(&self, answer: Result<T>) {
        let mut state = self.state.lock();
        match &mut *state {
            State::Waiting(waker) => {
                let waker = waker.take();
                *state = State::Done(answer);
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            State::Abandoned => {
                drop(state);
                self.salvage(answer);
            }
            State::Done(_) | State::Taken => {}
        }
    }

    /// The answer, or the waker is kept until it is there.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T>> {
        if let State::Waiting(waker) = &mut *self.state.lock() {
            match waker {
                Some(known) if known.will_wake(cx.waker()) => {}
                slot => *slot = Some(cx.waker().clone()),
            }
        }
        self.take(State::Taken).map_or(Poll::Pending, Poll::Ready)
    }

    fn salvage(&self, answer: Result<T>) {
        if let (Some(salvage), Ok(answer)) = (&self.salvage, answer) {
            salvage(answer);
        }
    }

    fn take(&self, left: State<T>) -> Option<Result<T>> {
        let mut state = self.state.lock();
        if !matches!(*state, State::Done(_)) {
            return None;
        }
        match std::mem::replace(&mut *state, left) {
            State::Done(answer) => Some(answer),
            _ => None,
        }
    }
}

/// An answer that may be taken back when the workers end.
pub(crate) trait Sweep: Send + Sync {
    /// Salvages an answer that is there and was not taken; whoever asks for it learns of the close.
    fn sweep(&self, backend: &'static str);
}

impl<T: Send> Sweep for Slot<T> {
    fn sweep(&self, backend: &'static str) {
        let closed = State::Done(Err(closed(Op::Claim, backend)));
        if let Some(answer) = self.take(closed) {
            self.salvage(answer);
        }
    }
}

/// A job, as its caller holds it. It joins the queue when it is polled, started or waited for.
pub(crate) struct Ticket<T> {
    slot: Arc<Slot<T>>,
    workers: Arc<Shared>,
    /// Refused when too many wait.
    bounded: bool,
    job: Option<Box<dyn Job>>,
}

impl<T: Send + 'static> Ticket<T> {
    pub(crate) fn new(
        slot: Arc<Slot<T>>,
        workers: Arc<Shared>,
        bounded: bool,
        job: Box<dyn Job>,
    ) -> Self {
        Self {
            slot,
            workers,
            bounded,
            job: Some(job),
        }
    }

    fn begin(&mut self) {
        if let Some(job) = self.job.take() {
            if self.bounded {
                self.workers.admit(job);
            } else {
                self.workers.push(job);
            }
        }
    }
}

impl<T: Send + 'static> Future for Ticket<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.begin();
        self.slot.poll(cx)
    }
}

impl<T: Send + 'static> Operation<T> for Ticket<T> {
    fn start(mut self: Pin<&mut Self>) {
        self.begin();
    }

    fn wait(mut self: Pin<Box<Self>>) -> Result<T> {
        self.begin();
        block_on_until(self, None).expect("without a deadline the wait ends with the answer")
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        let mut state = self.slot.state.lock();
        if matches!(*state, State::Waiting(_)) {
            *state = State::Abandoned;
            return;
        }
        drop(state);
        if let Some(answer) = self.slot.take(State::Taken) {
            self.slot.salvage(answer);
        }
    }
}

impl<T> fmt::Debug for Ticket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket")
    }
}
