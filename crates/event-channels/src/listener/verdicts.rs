//! Verdicts on their way to the database.
//!
//! They pile up while one batch is under way and then go together: batching without a timer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use events_core::{Error, ErrorKind, Op, Pending, Result, Settled, Settlement};

use super::handling::Handling;
use super::source::Pause;
use crate::shared::is_final;

/// Something to record, and until when that is worth trying.
pub(crate) struct Due {
    pub(crate) settlement: Settlement,
    pub(crate) until: Instant,
    /// Its lease is renewed under this key until it is recorded.
    pub(crate) renewal: Option<u64>,
}

/// What is to be recorded, without saying how to wait for it.
pub(crate) struct Verdicts {
    handling: Arc<Handling>,
    queued: Vec<Due>,
    sent: Vec<Due>,
    pause: Pause,
}

impl Verdicts {
    pub(crate) fn new(handling: Arc<Handling>) -> Self {
        Self {
            handling,
            queued: Vec::new(),
            sent: Vec::new(),
            pause: Pause::default(),
        }
    }

    pub(crate) fn push(&mut self, due: impl IntoIterator<Item = Due>) {
        self.queued.extend(due);
    }

    /// How many are not recorded yet.
    pub(crate) fn len(&self) -> usize {
        self.queued.len() + self.sent.len()
    }

    /// Sends what has piled up, unless a batch is under way.
    pub(crate) fn send(&mut self) -> Option<Pending<Vec<Result<Settled>>>> {
        if self.queued.is_empty() || !self.sent.is_empty() {
            return None;
        }
        std::mem::swap(&mut self.queued, &mut self.sent);
        let settlements = self.sent.iter().map(|due| due.settlement.clone()).collect();
        Some(self.handling.shared.send(settlements))
    }

    /// Takes in the answer of a batch. What failed and is worth a retry is queued again; the
    /// answer then says how long to pause before.
    pub(crate) fn answered(&mut self, answer: Result<Vec<Result<Settled>>>) -> Option<Duration> {
        let answers = match answer {
            Ok(answers) => Answers::Each(answers.into_iter()),
            Err(error) => Answers::All(error),
        };
        let mut answers = answers;
        let now = Instant::now();
        let (mut settled, mut again) = (Vec::with_capacity(self.sent.len()), Vec::new());
        let mut over = Vec::with_capacity(self.sent.len());
        // One report for each kind of failure, not one for each event.
        let mut lost: Vec<(usize, Error)> = Vec::new();
        for due in self.sent.drain(..) {
            let answer = answers.next();
            if is_final(&answer) {
                settled.push((due.settlement.event_id, due.settlement.receipt));
            }
            let Err(error) = answer else {
                over.extend(due.renewal);
                continue;
            };
            if error.is_retryable() && now < due.until {
                again.push(due);
                continue;
            }
            over.extend(due.renewal);
            if let Some(same) = lost.iter_mut().find(|(_, e)| e.kind() == error.kind()) {
                same.0 += 1;
            } else {
                lost.push((1, error));
            }
        }
        self.handling.renewals.forget(over);
        self.handling.shared.held.settled(settled);
        for (count, error) in lost {
            self.handling.lost(count, &error);
        }
        if again.is_empty() {
            self.pause.reset();
            return None;
        }
        again.append(&mut self.queued);
        self.queued = again;
        Some(self.pause.next(Duration::from_secs(1)))
    }

    /// Gives up what is not recorded yet.
    pub(crate) fn give_up(&mut self) {
        let left = self.len();
        if left > 0 {
            let error = Error::new(ErrorKind::Timeout, Op::Ack)
                .because("the database did not answer before the listener had to end");
            self.handling.lost(left, &error);
        }
        let given_up = self.queued.drain(..).chain(self.sent.drain(..));
        self.handling
            .renewals
            .forget(given_up.filter_map(|due| due.renewal));
    }
}

enum Answers {
    Each(std::vec::IntoIter<Result<Settled>>),
    All(Error),
}

impl Answers {
    fn next(&mut self) -> Result<Settled> {
        match self {
            Self::All(error) => Err(error.clone()),
            Self::Each(answers) => answers.next().unwrap_or_else(|| {
                Err(Error::new(ErrorKind::Backend, Op::Ack)
                    .because("the backend answered fewer verdicts than it was sent"))
            }),
        }
    }
}
