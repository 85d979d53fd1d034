//! What one call publishes, and where its caller finds the answer.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use events_core::{ChannelName, EventId, Op, Result};
use parking_lot::Mutex;

use crate::backend::closed;

/// An event, ready to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) channel: ChannelName,
    pub(crate) id: EventId,
    pub(crate) text: Arc<str>,
    /// What goes to the table, and the text says so.
    pub(crate) spilled: Option<String>,
}

/// The events of one call: sent together or not at all. One that is dropped before it has an
/// answer tells that the channel is closed.
pub(crate) struct Job {
    pub(crate) events: Vec<Outgoing>,
    pub(crate) asked: Instant,
    pub(crate) ticket: Arc<Ticket>,
}

impl Job {
    pub(crate) fn new(events: Vec<Outgoing>) -> Self {
        Self {
            events,
            asked: Instant::now(),
            ticket: Arc::default(),
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.ticket.answer(|| Err(closed(Op::Publish)));
    }
}

/// Where the answer to a job will be, and who waits for it.
#[derive(Default)]
pub(crate) struct Ticket(Mutex<State>);

#[derive(Default)]
struct State {
    answer: Option<Result<()>>,
    waker: Option<Waker>,
}

impl Ticket {
    /// Gives the answer, unless there is one already.
    pub(crate) fn answer(&self, answer: impl FnOnce() -> Result<()>) {
        let mut state = self.0.lock();
        if state.answer.is_none() {
            state.answer = Some(answer());
            let waker = state.waker.take();
            drop(state);
            waker.into_iter().for_each(Waker::wake);
        }
    }

    /// The answer, if it is there.
    pub(crate) fn answered(&self) -> Option<Result<()>> {
        self.0.lock().answer.clone()
    }

    /// Has this waker woken, once, by the answer or by what may lead to it. Answers whether there
    /// is anything to wait for.
    pub(crate) fn wait(&self, waker: &Waker) -> bool {
        let mut state = self.0.lock();
        if state.answer.is_some() {
            return false;
        }
        match &mut state.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        true
    }

    /// Whom to wake, who then is woken no more.
    pub(crate) fn waker(&self) -> Option<Waker> {
        self.0.lock().waker.take()
    }
}
