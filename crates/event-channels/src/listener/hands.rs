//! The handlers that are running.
//!
//! With one hand the handler is polled inside the listener's task: spawning a task for each event
//! would cost more than a short handler does. With several each handler is a task of its own, so
//! that they use several threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use events_core::EventMessage;
use futures_util::FutureExt;
use tokio::task::JoinSet;
use tracing::{Instrument as _, Span};

use super::error::HandlerResult;
use super::handle::ListenerId;
use super::handling::{InHand, Outcome, panic_text};
use crate::listener_registry::HANDLING;

type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A handler of any type, with its panic, its time limit and its mark around it.
pub(crate) type Run = Arc<dyn Fn(EventMessage, Span) -> Running + Send + Sync>;

pub(crate) fn runner<F, Fut>(id: ListenerId, timeout: Option<Duration>, handler: F) -> Run
where
    F: Fn(EventMessage) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send + 'static,
{
    let handler = Arc::new(handler);
    Arc::new(move |message, span| {
        let handler = Arc::clone(&handler);
        let work = async move {
            // Called in here, so that a panic before the first await is caught as well.
            let answer = handler(message);
            match timeout {
                None => Outcome::Answered(answer.await),
                Some(limit) => match tokio::time::timeout(limit, answer).await {
                    Ok(answer) => Outcome::Answered(answer),
                    Err(_) => Outcome::TimedOut(limit),
                },
            }
        };
        // Unwind safe because nothing of the handler is used after a panic.
        let caught = AssertUnwindSafe(HANDLING.scope(id, work.instrument(span))).catch_unwind();
        Box::pin(
            caught.map(|outcome| {
                outcome.unwrap_or_else(|panic| Outcome::Panicked(panic_text(&*panic)))
            }),
        )
    })
}

pub(crate) enum Hands {
    One(Option<(InHand, Running)>),
    Many(JoinSet<(InHand, Outcome)>),
}

impl Hands {
    pub(crate) fn new(concurrency: usize) -> Self {
        if concurrency == 1 {
            Self::One(None)
        } else {
            Self::Many(JoinSet::new())
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::One(running) => usize::from(running.is_some()),
            Self::Many(running) => running.len(),
        }
    }

    pub(crate) fn start(&mut self, in_hand: InHand, handler: Running) {
        match self {
            Self::One(running) => *running = Some((in_hand, handler)),
            Self::Many(running) => {
                running.spawn(async move { (in_hand, handler.await) });
            }
        }
    }

    /// A handler that has ended; `Pending` when none has.
    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<(InHand, Outcome)> {
        match self {
            Self::One(slot) => {
                let Some((_, handler)) = slot else {
                    return Poll::Pending;
                };
                let Poll::Ready(outcome) = handler.as_mut().poll(cx) else {
                    return Poll::Pending;
                };
                match slot.take() {
                    Some((in_hand, _)) => Poll::Ready((in_hand, outcome)),
                    None => Poll::Pending,
                }
            }
            Self::Many(running) => loop {
                match running.poll_join_next(cx) {
                    Poll::Ready(Some(Ok(ended))) => return Poll::Ready(ended),
                    // Panics are caught inside, so the runtime is shutting down.
                    Poll::Ready(Some(Err(error))) => {
                        tracing::debug!(%error, "a handler was cancelled with its runtime");
                    }
                    Poll::Ready(None) | Poll::Pending => return Poll::Pending,
                }
            },
        }
    }

    /// Drops the handlers that are still running.
    pub(crate) fn abort(&mut self) {
        match self {
            Self::One(running) => {
                let running = running.take();
                if catch_unwind(AssertUnwindSafe(|| drop(running))).is_err() {
                    tracing::error!("a handler panicked when it was dropped");
                }
            }
            Self::Many(running) => running.abort_all(),
        }
    }
}
