//! Drives a consumer: as a stream in async code, and on a thread that may block.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use event_listener::EventListener;
use events_core::{
    Closer, EventMessage, HoldToken, Next, Pending, Result, Subscription, block_on_until,
};
use futures_core::Stream;
use tokio::time::{Instant as TokioInstant, Sleep};

use crate::consumer::{Consumer, Later, Step, Wait};
use crate::wakes::Mark;
use crate::{Claimed, Outcome, QueueStore};

/// A consumer and what it is waiting for.
#[derive(Debug)]
pub(crate) struct ConsumerStream<S: QueueStore> {
    // Dropped before the consumer, which may be the last to hold the store.
    renewal: Option<(HoldToken, Instant, Pending<Vec<Outcome>>)>,
    wait: Option<Waiting>,
    consumer: Consumer<S>,
    closing: Option<EventListener>,
    ended: bool,
}

/// A wait of a stream, and the claim that was left for it.
#[derive(Debug)]
struct Waiting {
    later: Option<Later>,
    mark: Mark,
    sleep: Pin<Box<Sleep>>,
}

impl<S: QueueStore> ConsumerStream<S> {
    pub(crate) fn new(consumer: Consumer<S>) -> Self {
        Self {
            consumer,
            renewal: None,
            wait: None,
            closing: None,
            ended: false,
        }
    }

    /// Polls what is under way. `Pending` only if nothing else can be done meanwhile.
    fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some(mut wait) = self.wait.take() {
            if let Some(later) = &mut wait.later
                && let Poll::Ready(answer) = later.poll(cx)
            {
                return Poll::Ready(self.consumer.served(wait.mark, later, answer));
            }
            let rung = Pin::new(&mut wait.mark).poll(cx).is_ready();
            if !rung && wait.sleep.as_mut().poll(cx).is_pending() {
                self.wait = Some(wait);
                return Poll::Pending;
            }
            drop(wait);
            self.consumer.woken(rung);
        }
        if let Some((token, asked, renewal)) = &mut self.renewal {
            let Poll::Ready(answer) = Pin::new(renewal).poll(cx) else {
                return Poll::Pending;
            };
            let (token, asked) = (*token, *asked);
            self.renewal = None;
            self.consumer.renewed(token, asked, answer)?;
        }
        self.consumer.poll_claim(cx)
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<EventMessage>>> {
        loop {
            match self.poll_work(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) if self.ends_by(&error) => {}
                Poll::Ready(Err(error)) => return self.report(error),
                Poll::Ready(Ok(())) => {}
            }
            match self.consumer.next_step() {
                Step::Event(message) => return Poll::Ready(Some(Ok(message))),
                Step::Ended => return self.end(),
                Step::Wait(wait) => {
                    let deadline =
                        TokioInstant::now() + wait.at_most.min(Duration::from_secs(3600));
                    self.wait = Some(Waiting {
                        later: self.consumer.claim_later(&wait, false),
                        mark: wait.mark,
                        sleep: Box::pin(tokio::time::sleep_until(deadline)),
                    });
                }
                Step::Renew(token, id) => {
                    let renewal = self.consumer.renewal(token, id);
                    self.renewal = Some((token, Instant::now(), renewal));
                }
                Step::Claim => self.consumer.claim(),
            }
        }
    }

    /// An error that time may cure is an item; any other is the last one.
    fn report<T>(&mut self, error: events_core::Error) -> Poll<Option<Result<T>>> {
        self.note_end(&error);
        Poll::Ready(Some(Err(error)))
    }

    fn end<T>(&mut self) -> Poll<Option<T>> {
        self.ended = true;
        Poll::Ready(None)
    }
}

impl<S: QueueStore> Stream for ConsumerStream<S> {
    type Item = Result<EventMessage>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        loop {
            let polled = this.poll_event(cx);
            // Only a consumer that really waits pays for listening to its closer.
            if polled.is_pending()
                && this
                    .consumer
                    .closer
                    .poll_closed(&mut this.closing, cx)
                    .is_ready()
            {
                this.wait = None;
                this.renewal = None;
                this.consumer.give_up_claim();
                continue;
            }
            return polled;
        }
    }
}

impl<S: QueueStore> Subscription for ConsumerStream<S> {
    fn wait_next(&mut self, until: Option<Instant>) -> Next {
        if self.ended {
            return Next::Ended;
        }
        loop {
            if let Err(error) = self.consumer.wait_claim()
                && !self.ends_by(&error)
            {
                self.note_end(&error);
                return Next::Event(Err(error));
            }
            match self.consumer.next_step() {
                Step::Event(message) => return Next::Event(Ok(message)),
                Step::Ended => {
                    self.ended = true;
                    return Next::Ended;
                }
                Step::Wait(wait) => {
                    let now = Instant::now();
                    if until.is_some_and(|until| until <= now) {
                        self.consumer.resume_wait(wait);
                        return Next::TimedOut;
                    }
                    if let Err(error) = self.block(wait, until)
                        && !self.ends_by(&error)
                    {
                        self.note_end(&error);
                        return Next::Event(Err(error));
                    }
                }
                Step::Renew(token, id) => {
                    let asked = Instant::now();
                    let answer = self.consumer.renewal(token, id).wait();
                    if let Err(error) = self.consumer.renewed(token, asked, answer) {
                        self.note_end(&error);
                        return Next::Event(Err(error));
                    }
                }
                Step::Claim => self.consumer.claim(),
            }
        }
    }

    fn closer(&self) -> Closer {
        self.consumer.closer.clone()
    }
}

impl<S: QueueStore> ConsumerStream<S> {
    /// Whether an error says only that the channel was shut down, which is the end and no failure.
    fn ends_by(&self, error: &events_core::Error) -> bool {
        error.kind() == events_core::ErrorKind::Closed && self.consumer.closer.is_closed()
    }

    /// An error that ends the stream gives back what was not handed over.
    fn note_end(&mut self, error: &events_core::Error) {
        if !error.stream_continues() {
            self.ended = true;
            self.consumer.release();
        }
    }

    /// Sleeps until the bell, the closer, the caller's deadline or the end of the wait; takes in
    /// what a claim that was left for it brought.
    fn block(&mut self, mut wait: Wait, until: Option<Instant>) -> Result<()> {
        let start = Instant::now();
        let end = start + wait.at_most.min(Duration::from_secs(3600));
        let deadline = until.map_or(end, |until| until.min(end));
        let closer = self.consumer.closer.clone();
        let mut closing = None;
        let mut later = self.consumer.claim_later(&wait, true);
        let ended = block_on_until(
            std::future::poll_fn(|cx| {
                if closer.poll_closed(&mut closing, cx).is_ready() {
                    return Poll::Ready(End::Closed);
                }
                if let Some(later) = &mut later
                    && let Poll::Ready(answer) = later.poll(cx)
                {
                    return Poll::Ready(End::Served(answer));
                }
                Pin::new(&mut wait.mark).poll(cx).map(|()| End::Rung)
            }),
            Some(deadline),
        );
        match (ended, later) {
            (Some(End::Served(answer)), Some(later)) => {
                return self.consumer.served(wait.mark, &later, answer);
            }
            (None, _) if deadline < end => {
                wait.at_most = wait.at_most.saturating_sub(start.elapsed());
                self.consumer.resume_wait(wait);
            }
            (ended, _) => self.consumer.woken(matches!(ended, Some(End::Rung))),
        }
        Ok(())
    }
}

/// What ended the sleep of a thread before its time.
enum End {
    Closed,
    Served(Result<Claimed>),
    Rung,
}
