//! The caller's end of a job: a future, and a wait that may do the work itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use events_core::{Op, Operation, Result, block_on_until};
use parking_lot::Mutex;

use crate::writer::{Shared, closed};

/// What to do with an answer that nobody takes.
pub(crate) type Salvage<T> = fn(T, &Arc<Shared>);

/// Where the answer of a job is left.
#[derive(Debug)]
pub(crate) struct Slot<T> {
    state: Mutex<State<T>>,
    salvage: Option<Salvage<T>>,
    /// It is done even if its caller stops waiting.
    admitted: AtomicBool,
}

#[derive(Debug)]
enum State<T> {
    /// In the queue; nobody has asked for it to be done yet.
    Queued,
    /// Asked for; the waker of whoever awaits it.
    Started(Option<Waker>),
    /// Dropped before it was asked for, or while there was no room for it: it is not done at all.
    Cancelled,
    /// Dropped after it was asked for: it is done, and its answer salvaged.
    Abandoned,
    Done(Result<T>),
    Taken,
}

impl<T> Slot<T> {
    pub(crate) fn new(salvage: Option<Salvage<T>>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::Queued),
            salvage,
            admitted: AtomicBool::new(false),
        })
    }

    /// There is room for the job, whatever its caller does.
    pub(crate) fn admit(&self) {
        self.admitted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(*self.state.lock(), State::Cancelled)
    }

    fn is_done(&self) -> bool {
        matches!(*self.state.lock(), State::Done(_))
    }

    /// Leaves the answer and wakes the caller.
    pub(crate) fn finish(&self, answer: Result<T>, writer: &Arc<Shared>) {
        let mut state = self.state.lock();
        match &mut *state {
            // Cancelled, but taken for a batch before that.
            State::Cancelled | State::Abandoned => {
                drop(state);
                self.salvage(answer, writer);
            }
            State::Started(waker) => {
                let waker = waker.take();
                *state = State::Done(answer);
                drop(state);
                // Others of the same batch wait for their answers behind this one.
                if let Some(waker) = waker
                    && catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err()
                {
                    tracing::error!("the waker of a task panicked; its answer is there");
                }
            }
            State::Queued | State::Done(_) | State::Taken => *state = State::Done(answer),
        }
    }

    fn salvage(&self, answer: Result<T>, writer: &Arc<Shared>) {
        if let (Some(salvage), Ok(answer)) = (self.salvage, answer) {
            salvage(answer, writer);
        }
    }
}

/// An answer that may be taken back when the database is closed.
pub(crate) trait Sweep: Send + Sync {
    /// Salvages an answer that is there and was not taken; whoever asks for it learns of the close.
    fn sweep(&self, writer: &Arc<Shared>);
}

impl<T: Send> Sweep for Slot<T> {
    fn sweep(&self, writer: &Arc<Shared>) {
        let mut state = self.state.lock();
        if matches!(*state, State::Done(Ok(_))) {
            let closed = State::Done(Err(closed(Op::Claim)));
            if let State::Done(answer) = std::mem::replace(&mut *state, closed) {
                drop(state);
                self.salvage(answer, writer);
            }
        }
    }
}

/// A job of the writer, as its caller holds it.
#[derive(Debug)]
pub(crate) struct Ticket<T> {
    slot: Arc<Slot<T>>,
    writer: Arc<Shared>,
    started: bool,
    /// The queue at which the job stands, if it is a claim for later.
    stands_at: Option<i64>,
}

impl<T> Ticket<T> {
    pub(crate) fn new(slot: Arc<Slot<T>>, writer: Arc<Shared>) -> Self {
        Self {
            slot,
            writer,
            started: false,
            stands_at: None,
        }
    }

    /// For a claim that stands at a queue; nobody is called to carry it out.
    pub(crate) fn standing(slot: Arc<Slot<T>>, writer: Arc<Shared>, queue_id: i64) -> Self {
        let mut ticket = Self::new(slot, writer);
        ticket.mark_started();
        ticket.stands_at = Some(queue_id);
        ticket
    }

    fn mark_started(&mut self) -> bool {
        let first = !std::mem::replace(&mut self.started, true);
        if first {
            let mut state = self.slot.state.lock();
            if matches!(*state, State::Queued) {
                *state = State::Started(None);
            }
        }
        first
    }
}

impl<T: Send> Future for Ticket<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let first = self.mark_started();
        {
            let mut state = self.slot.state.lock();
            match &mut *state {
                State::Done(_) => {
                    let State::Done(answer) = std::mem::replace(&mut *state, State::Taken) else {
                        unreachable!("the state was just looked at under its lock")
                    };
                    return Poll::Ready(answer);
                }
                State::Started(waker) => match waker {
                    Some(known) if known.will_wake(cx.waker()) => {}
                    slot => *slot = Some(cx.waker().clone()),
                },
                _ => {}
            }
        }
        if first {
            self.writer.call_thread();
        }
        Poll::Pending
    }
}

impl<T: Send> Operation<T> for Ticket<T> {
    fn start(mut self: Pin<&mut Self>) {
        self.slot.admit();
        if self.mark_started() {
            self.writer.call_thread();
        }
    }

    /// Leads the batch on this thread if nobody else does, so no other thread needs to be woken.
    fn wait(mut self: Pin<Box<Self>>) -> Result<T> {
        self.mark_started();
        let slot = Arc::clone(&self.slot);
        self.writer.lead(|| slot.is_done());
        block_on_until(self, None).expect("without a deadline the wait ends with the answer")
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        let mut state = self.slot.state.lock();
        match &*state {
            State::Started(_) if self.slot.admitted.load(Ordering::Relaxed) => {
                *state = State::Abandoned;
            }
            State::Queued | State::Started(_) => {
                *state = State::Cancelled;
                drop(state);
                match self.stands_at {
                    Some(queue_id) => self.writer.standing.lock().sweep(queue_id),
                    None => self.writer.queue.lock().jobs.note_cancelled(),
                }
            }
            State::Done(_) => {
                if let State::Done(answer) = std::mem::replace(&mut *state, State::Taken) {
                    drop(state);
                    self.slot.salvage(answer, &self.writer);
                }
            }
            State::Cancelled | State::Abandoned | State::Taken => {}
        }
    }
}
