//! The caller's end of an operation: a future whose work a task of its own carries out.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use events_core::{Error, ErrorKind, Op, Operation, Result, block_on_until};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::tasks::{Tasks, closed};

/// What to do with an answer that nobody takes.
pub(crate) type Salvage<T> = Box<dyn Fn(T) + Send + Sync>;

/// Begins the work of an operation; it is dropped if nobody ever asks for it.
pub(crate) type Work<T> = Box<dyn FnOnce() -> Begun<T> + Send>;

/// Work that has its place among others of its kind.
pub(crate) struct Begun<T> {
    pub(crate) work: Pin<Box<dyn Future<Output = Result<T>> + Send>>,
    /// It is done even if its caller stops waiting.
    pub(crate) kept: bool,
}

impl<T> Begun<T> {
    /// Work that is done whatever its caller does.
    pub(crate) fn whatever(work: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self {
            work: Box::pin(work),
            kept: true,
        }
    }

    /// The same, kept even without room.
    pub(crate) fn keep(self) -> Self {
        Self { kept: true, ..self }
    }
}

/// Where a task leaves its answer.
pub(crate) struct Slot<T> {
    state: Mutex<State<T>>,
    salvage: Option<Salvage<T>>,
}

enum State<T> {
    /// Under way; the waker of whoever awaits it.
    Waiting(Option<Waker>),
    /// Dropped: its answer will be salvaged.
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
    fn finish(&self, answer: Result<T>) {
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

    fn salvage(&self, answer: Result<T>) {
        if let (Some(salvage), Ok(answer)) = (&self.salvage, answer) {
            salvage(answer);
        }
    }
}

/// An answer that may be taken back when the store is closed.
pub(crate) trait Sweep: Send + Sync {
    /// Salvages an answer that is there and was not taken; whoever asks for it learns of the close.
    fn sweep(&self);
}

impl<T: Send> Sweep for Slot<T> {
    fn sweep(&self) {
        let mut state = self.state.lock();
        if matches!(*state, State::Done(Ok(_))) {
            let closed = State::Done(Err(closed(Op::Claim)));
            if let State::Done(answer) = std::mem::replace(&mut *state, closed) {
                drop(state);
                self.salvage(answer);
            }
        }
    }
}

/// Makes sure that a slot gets an answer, even if its task is dropped with the runtime or panics.
pub(crate) struct Finish<T> {
    slot: Arc<Slot<T>>,
    op: Op,
    backend: &'static str,
    done: bool,
}

impl<T> Finish<T> {
    pub(crate) fn new(slot: Arc<Slot<T>>, op: Op, backend: &'static str) -> Self {
        Self {
            slot,
            op,
            backend,
            done: false,
        }
    }

    pub(crate) fn finish(mut self, answer: Result<T>) {
        self.done = true;
        self.slot
            .finish(answer.map_err(|e| e.during(self.op).in_backend(self.backend)));
    }
}

impl<T> Drop for Finish<T> {
    fn drop(&mut self) {
        if !self.done {
            self.slot.finish(Err(Error::new(ErrorKind::Closed, self.op)
                .because("the runtime that the channel was opened on has ended")
                .in_backend(self.backend)));
        }
    }
}

/// An operation, as its caller holds it.
pub(crate) struct Ticket<T> {
    slot: Arc<Slot<T>>,
    tasks: Arc<Tasks>,
    op: Op,
    work: Option<Work<T>>,
    /// The task of work that is not kept.
    unkept: Option<AbortHandle>,
}

impl<T: Send + 'static> Ticket<T> {
    pub(crate) fn new(slot: Arc<Slot<T>>, tasks: Arc<Tasks>, op: Op, work: Work<T>) -> Self {
        Self {
            slot,
            tasks,
            op,
            work: Some(work),
            unkept: None,
        }
    }

    fn begin(&mut self) {
        if let Some(work) = self.work.take() {
            let finish = Finish::new(Arc::clone(&self.slot), self.op, self.tasks.name);
            // Here and not in the task, so that operations take their places in the order of calls.
            let Begun { work, kept } = work();
            let task = self.tasks.spawn(async move { finish.finish(work.await) });
            self.unkept = (!kept).then_some(task);
        }
    }
}

impl<T: Send + 'static> Future for Ticket<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.begin();
        let mut state = self.slot.state.lock();
        match &mut *state {
            State::Done(_) => {
                let State::Done(answer) = std::mem::replace(&mut *state, State::Taken) else {
                    unreachable!("the state was just looked at under its lock")
                };
                Poll::Ready(answer)
            }
            State::Waiting(waker) => {
                match waker {
                    Some(known) if known.will_wake(cx.waker()) => {}
                    slot => *slot = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            State::Abandoned | State::Taken => Poll::Pending,
        }
    }
}

impl<T: Send + 'static> Operation<T> for Ticket<T> {
    fn start(mut self: Pin<&mut Self>) {
        self.begin();
        self.unkept = None;
    }

    fn wait(self: Pin<Box<Self>>) -> Result<T> {
        block_on_until(self, None).expect("without a deadline the wait ends with the answer")
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        let mut state = self.slot.state.lock();
        match &*state {
            State::Waiting(_) => {
                *state = State::Abandoned;
                if let Some(task) = &self.unkept {
                    task.abort();
                }
            }
            State::Done(_) => {
                if let State::Done(answer) = std::mem::replace(&mut *state, State::Taken) {
                    drop(state);
                    self.slot.salvage(answer);
                }
            }
            State::Abandoned | State::Taken => {}
        }
    }
}

impl<T> fmt::Debug for Ticket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("op", &self.op)
            .finish_non_exhaustive()
    }
}
