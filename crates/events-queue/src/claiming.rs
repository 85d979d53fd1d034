//! A claim under way, kept where others than its consumer find its answer.
//!
//! A stream may start a claim and then not be polled for long. What the claim brought is held by
//! this process all the same: its leases are renewed, and a shutdown gives it back.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use event_listener::EventListener;
use events_core::{HoldToken, Pending, Result};

use crate::prefetch::{Buffer, Held};
use crate::{Claimed, alone::AloneHolds};

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Hears what rings after the claim was started.
    pub(crate) mark: EventListener,
    /// Before the claim, so that the lease does not seem to end later than it does.
    pub(crate) at: Instant,
    pub(crate) limit: usize,
}

/// What a claim answered, its events being in the buffer already.
#[derive(Debug)]
pub(crate) struct Brought {
    pub(crate) claimed: Claimed,
    pub(crate) events: usize,
    /// The event that was claimed alone.
    pub(crate) alone: Option<HoldToken>,
}

/// The place of one consumer's claim.
#[derive(Debug, Default)]
pub(crate) struct Claiming(Mutex<Option<UnderWay>>);

#[derive(Debug)]
struct UnderWay {
    asked: Asked,
    claim: Pending<Claimed>,
    answer: Option<Result<Brought>>,
    waker: Option<Waker>,
}

/// Where events that a claim brought are put.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shelf<'a> {
    pub(crate) buffer: &'a Buffer,
    pub(crate) alone: &'a AloneHolds,
    pub(crate) lease: Duration,
}

impl Shelf<'_> {
    pub(crate) fn put(&self, asked: &Asked, mut claimed: Claimed) -> Brought {
        let rows = std::mem::take(&mut claimed.rows);
        let answered = Instant::now();
        let alone = rows.first().filter(|_| claimed.alone).map(|row| row.token);
        if let Some(token) = alone {
            self.alone.insert(token, asked.at + self.lease);
        }
        let events = rows.len();
        let held = rows
            .into_iter()
            .map(|row| Held::new(row, asked.at, answered, self.lease));
        self.buffer.lock().extend(held);
        Brought {
            claimed,
            events,
            alone,
        }
    }
}

impl UnderWay {
    fn poll(&mut self, shelf: Shelf<'_>) {
        let waker = self.waker.as_ref().unwrap_or(Waker::noop());
        if self.answer.is_none()
            && let Poll::Ready(answer) =
                std::pin::Pin::new(&mut self.claim).poll(&mut Context::from_waker(waker))
        {
            self.answer = Some(answer.map(|claimed| shelf.put(&self.asked, claimed)));
        }
    }
}

impl Claiming {
    pub(crate) fn begin(&self, asked: Asked, claim: Pending<Claimed>) {
        *self.lock() = Some(UnderWay {
            asked,
            claim,
            answer: None,
            waker: None,
        });
    }

    /// The answer for the consumer; `None` if no claim is under way.
    pub(crate) fn poll(
        &self,
        shelf: Shelf<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(Asked, Result<Brought>)>> {
        let mut place = self.lock();
        let Some(claim) = &mut *place else {
            return Poll::Ready(None);
        };
        claim.waker = Some(cx.waker().clone());
        claim.poll(shelf);
        match claim.answer.take() {
            None => Poll::Pending,
            Some(answer) => Poll::Ready(place.take().map(|claim| (claim.asked, answer))),
        }
    }

    /// As [`Claiming::poll`], on a thread that may block.
    pub(crate) fn wait(&self, shelf: Shelf<'_>) -> Option<(Asked, Result<Brought>)> {
        let UnderWay {
            asked,
            claim,
            answer,
            ..
        } = self.lock().take()?;
        let answer = match answer {
            Some(answer) => answer,
            None => claim.wait().map(|claimed| shelf.put(&asked, claimed)),
        };
        Some((asked, answer))
    }

    /// Takes in what has come for a consumer that does not ask for it.
    pub(crate) fn take_in(&self, shelf: Shelf<'_>) {
        if let Some(claim) = &mut *self.lock() {
            claim.poll(shelf);
        }
    }

    /// Gives up the claim; the store gives back what nobody took in.
    pub(crate) fn give_up(&self) {
        let claim = self.lock().take();
        drop(claim);
    }

    fn lock(&self) -> MutexGuard<'_, Option<UnderWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
