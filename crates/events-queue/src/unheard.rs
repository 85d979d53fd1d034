//! Verdicts whose caller gave up before the answer. They are carried out all the same, and a later
//! verdict on the same holding is told what became of them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use events_core::{Pending, Settled};

use crate::Outcome;

/// The answer to a batch of verdicts, which nobody waits for.
#[derive(Debug)]
pub(crate) struct Unheard {
    answer: Mutex<Answer>,
    /// Counts those that are kept.
    _kept: Arc<()>,
}

#[derive(Debug)]
enum Answer {
    Awaited(Pending<Vec<Outcome>>),
    /// `None` if nothing was recorded.
    Known(Option<Vec<Outcome>>),
}

/// What is known of an earlier verdict on the same holding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Earlier {
    /// There was none, or nothing came of it.
    None,
    /// It was sent, and stands unless it fails.
    Sent(Settled),
    /// Its caller gave up, and there is no answer yet.
    Unheard,
}

impl Unheard {
    pub(crate) fn new(answer: Pending<Vec<Outcome>>, kept: Arc<()>) -> Arc<Self> {
        Arc::new(Self {
            answer: Mutex::new(Answer::Awaited(answer)),
            _kept: kept,
        })
    }

    /// What became of the `nr`-th of its verdicts, which was `sent`.
    pub(crate) fn hear(&self, nr: usize, sent: Settled) -> Earlier {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Answer::Awaited(pending) = &mut *answer {
            match Pin::new(pending).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => return Earlier::Unheard,
                Poll::Ready(outcomes) => *answer = Answer::Known(outcomes.ok()),
            }
        }
        let Answer::Known(Some(outcomes)) = &*answer else {
            return Earlier::None;
        };
        match outcomes.get(nr) {
            Some(Outcome::Recorded) => Earlier::Sent(sent),
            Some(Outcome::AlreadyAcked) => Earlier::Sent(Settled::AlreadyAcked),
            Some(Outcome::AlreadyNacked) => Earlier::Sent(Settled::AlreadyNacked),
            Some(Outcome::Gone) | None => Earlier::None,
        }
    }
}
