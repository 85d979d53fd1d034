//! One consumer: decides what to do next, without saying how to wait for it.
//!
//! `consumer_stream` drives it, as a stream and on a blocking thread.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use events_core::telemetry::Count;
use events_core::{
    Closer, Error, EventId, EventMessage, HoldToken, Pending, Receipt, Result, Subscribe, spans,
};

use crate::claiming::{Asked, Brought};
use crate::engine::{ConsumerEntry, Engine, Queue};
use crate::prefetch::{Buffer, Held, PrefetchSize};
use crate::wakes::Mark;
use crate::{Claim, Claimed, DeadReason, Outcome, QueueStore, Row, StoreSettlement, StoreVerdict};

/// The first pause after a failed claim; it doubles up to the poll interval, at least a second.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// How much longer an idle consumer waits that is sure to be told.
const TOLD: u32 = 10;
const TOLD_LONGEST: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Consumer<S: QueueStore> {
    engine: Arc<Engine<S>>,
    queue: Arc<Queue>,
    buffer: Arc<Buffer>,
    pub(crate) closer: Closer,
    poll_interval: Duration,
    size: PrefetchSize,
    alone: Option<HoldToken>,
    idle: Option<Wait>,
    listening: bool,
    failures: u32,
}

/// A sleep until the listener is told or the time is over.
#[derive(Debug)]
pub(crate) struct Wait {
    pub(crate) mark: Mark,
    pub(crate) at_most: Duration,
    /// For an event: a claim may be left with the store meanwhile.
    for_event: bool,
}

impl Wait {
    /// A wait in which nothing may be claimed.
    fn pause(mark: Mark, at_most: Duration) -> Self {
        Self {
            mark,
            at_most,
            for_event: false,
        }
    }
}

/// A claim that was left with the store for the time of a wait.
#[derive(Debug)]
pub(crate) struct Later {
    limit: usize,
    left: Instant,
    claim: Pending<Claimed>,
}

impl Later {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Claimed>> {
        Pin::new(&mut self.claim).poll(cx)
    }
}

/// What a consumer wants to do next.
pub(crate) enum Step {
    /// Hand this over.
    Event(EventMessage),
    /// It was closed.
    Ended,
    /// Ask the table.
    Claim,
    /// Renew this one before it is handed over: less than half its lease is left.
    Renew(HoldToken, EventId),
    /// Sleep.
    Wait(Wait),
}

impl<S: QueueStore> Consumer<S> {
    pub(crate) fn new(engine: Arc<Engine<S>>, queue: Arc<Queue>, request: &Subscribe) -> Self {
        let buffer = Arc::new(Buffer::default());
        let closer = Closer::new();
        engine.add_consumer(ConsumerEntry {
            buffer: Arc::downgrade(&buffer),
            closer: closer.clone(),
        });
        Self {
            poll_interval: request.poll_interval.unwrap_or(engine.config.poll_interval),
            size: PrefetchSize::new(
                request.concurrency,
                request.prefetch.or(engine.config.prefetch),
            ),
            engine,
            queue,
            buffer,
            closer,
            alone: None,
            idle: None,
            listening: request.listening,
            failures: 0,
        }
    }

    /// What to do now.
    pub(crate) fn next_step(&mut self) -> Step {
        if self.closer.is_closed() {
            self.release();
            return Step::Ended;
        }
        loop {
            let mut buffer = self.buffer.lock();
            let Some(front) = buffer.front() else { break };
            let left = front.until.saturating_duration_since(Instant::now());
            if left < self.engine.config.lease / 2 {
                let step = Step::Renew(front.row.token, front.row.event_id);
                drop(buffer);
                // After a failed renewal there is a pause first.
                let pause = self.idle.take();
                return pause.map_or(step, Step::Wait);
            }
            let held = buffer.pop_front();
            drop(buffer);
            if let Some(message) = held.and_then(|held| self.hand_over(held)) {
                return Step::Event(message);
            }
        }
        if let Some(token) = self.alone {
            if let Some((listener, left)) = self.engine.alone.wait_for(&token) {
                return Step::Wait(Wait::pause(listener, left));
            }
            self.alone = None;
        }
        match self.idle.take() {
            Some(wait) => Step::Wait(wait),
            None => Step::Claim,
        }
    }

    /// Starts a claim for an empty buffer. The mark is taken before the table is looked at.
    pub(crate) fn claim(&mut self) {
        self.size.drained(Instant::now());
        let limit = self.size.get();
        let asked = Asked {
            mark: self.queue.bell.look(),
            at: Instant::now(),
            limit,
        };
        let claim = self.request(limit);
        let (engine, queue) = (&self.engine, &self.queue);
        let span = spans::claim(
            engine.store.name(),
            &queue.channel,
            queue.group.as_ref(),
            limit,
        );
        let claimed = engine.store.claim(claim).in_span(span, |span, claimed| {
            spans::claimed(span, claimed.rows.len());
        });
        self.buffer.claiming.begin(asked, claimed);
    }

    /// Leaves a claim for the time of a wait. `attended` says that its answer is sure to be taken
    /// at once; a stream that nobody may be polling takes nothing.
    pub(crate) fn claim_later(&self, wait: &Wait, attended: bool) -> Option<Later> {
        if !wait.for_event || !(attended || self.listening) {
            return None;
        }
        let limit = self.size.get();
        let claim = self.engine.store.claim_later(self.request(limit))?;
        Some(Later {
            limit,
            left: Instant::now(),
            claim,
        })
    }

    /// Gives up the claim that is under way; what it brings yet is given back.
    pub(crate) fn give_up_claim(&self) {
        self.buffer.claiming.give_up();
    }

    /// Takes in the answer of a claim that was left for a wait.
    pub(crate) fn served(
        &mut self,
        mark: Mark,
        later: &Later,
        answer: Result<Claimed>,
    ) -> Result<()> {
        self.woken(true);
        let begun = answer.as_ref().ok().and_then(|claimed| claimed.begun);
        let asked = Asked {
            mark,
            at: begun.unwrap_or(later.left),
            limit: later.limit,
        };
        let shelf = self.engine.shelf(&self.buffer);
        let brought = answer.map(|claimed| shelf.put(&asked, claimed));
        self.answered(Some((asked, brought)))
    }

    fn request(&self, limit: usize) -> Claim {
        Claim {
            queue_id: self.queue.id,
            limit,
            suspects: true,
            lease: self.engine.config.lease,
            max_attempts: self.engine.config.max_attempts,
        }
    }

    /// Polls the claim that is under way, if one is.
    pub(crate) fn poll_claim(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let shelf = self.engine.shelf(&self.buffer);
        let answered = ready!(self.buffer.claiming.poll(shelf, cx));
        Poll::Ready(self.answered(answered))
    }

    /// Waits for the claim that is under way, if one is.
    pub(crate) fn wait_claim(&mut self) -> Result<()> {
        let shelf = self.engine.shelf(&self.buffer);
        let answered = self.buffer.claiming.wait(shelf);
        self.answered(answered)
    }

    /// Takes in the answer of a claim; an error is for the consumer to see.
    fn answered(&mut self, answered: Option<(Asked, Result<Brought>)>) -> Result<()> {
        let Some((asked, answer)) = answered else {
            return Ok(());
        };
        let Brought {
            claimed,
            events,
            alone,
        } = answer.map_err(|error| self.failed(error))?;
        self.failures = 0;
        let meter = &self.queue.meter;
        meter.claimed(events);
        meter.add(Count::Dead, claimed.dead as u64);
        meter.add(Count::Expired, claimed.expired as u64);
        if events == 0 {
            let due = claimed.next_due.unwrap_or(Duration::MAX);
            let interval = match claimed.told {
                true => (self.poll_interval * TOLD)
                    .clamp(self.poll_interval, TOLD_LONGEST.max(self.poll_interval)),
                false => self.poll_interval,
            };
            // A millisecond more, so that what is due then is due by the database's clock.
            self.idle = Some(Wait {
                mark: asked.mark,
                at_most: interval.min(due.saturating_add(Duration::from_millis(1))),
                for_event: true,
            });
            return Ok(());
        }
        self.alone = alone;
        let full = events >= asked.limit;
        if full && alone.is_none() {
            self.size.filled(Instant::now());
        }
        if full || alone.is_some() {
            // One wake may have stood for several events: pass it on to the next idle consumer.
            self.queue.bell.pass_on();
        }
        Ok(())
    }

    fn failed(&mut self, error: Error) -> Error {
        self.queue.meter.add(Count::DequeueError, 1);
        let most = self.poll_interval.max(Duration::from_secs(1));
        let pause = FIRST_PAUSE
            .saturating_mul(1 << self.failures.min(10))
            .min(most);
        self.failures = self.failures.saturating_add(1);
        self.idle = Some(Wait::pause(self.queue.bell.listen(), pause));
        error
    }

    /// Starts to renew the lease of an event before its hand-over; it stays in the buffer.
    pub(crate) fn renewal(&self, token: HoldToken, event_id: EventId) -> Pending<Vec<Outcome>> {
        let verdict = StoreVerdict::Extend(self.engine.config.lease);
        self.engine.store.settle(vec![StoreSettlement {
            token,
            event_id,
            verdict,
        }])
    }

    /// An event that could not be renewed, because its hold is lost, is dropped.
    pub(crate) fn renewed(
        &mut self,
        token: HoldToken,
        asked: Instant,
        answer: Result<Vec<Outcome>>,
    ) -> Result<()> {
        let outcomes = answer.map_err(|error| self.failed(error))?;
        let recorded = outcomes.first() == Some(&Outcome::Recorded);
        self.engine
            .note_renewal(&self.buffer, &token, asked, recorded);
        Ok(())
    }

    /// Decodes an event. One that is no JSON, or has expired since it was claimed, becomes a dead
    /// letter, and nobody stops for it.
    fn hand_over(&self, held: Held) -> Option<EventMessage> {
        let (token, event_id) = (held.row.token, held.row.event_id);
        // The host's own clock may be off; only the database's was asked when the event was stored.
        let now = held.database_time(Instant::now());
        if held.row.expires_at.is_some_and(|at| at <= now) {
            self.queue.meter.add(Count::Expired, 1);
            self.bury(token, event_id, DeadReason::Expired, None);
            return None;
        }
        match decode(held.row, &self.queue) {
            Ok(message) => {
                let lag = now.duration_since(message.available_at);
                self.queue
                    .meter
                    .delivered(Duration::try_from(lag).unwrap_or_default());
                Some(message)
            }
            Err(problem) => {
                tracing::warn!(%event_id, channel = %self.queue.channel, problem, "an undecodable event becomes a dead letter");
                self.queue.meter.add(Count::Dead, 1);
                self.bury(token, event_id, DeadReason::Undecodable, Some(problem));
                None
            }
        }
    }

    fn bury(&self, token: HoldToken, event_id: EventId, reason: DeadReason, error: Option<String>) {
        self.engine.alone.remove(&token);
        let verdict = StoreVerdict::Dead { reason, error };
        self.engine
            .store
            .settle(vec![StoreSettlement {
                token,
                event_id,
                verdict,
            }])
            .detach();
    }

    /// Gives back what was not handed over.
    pub(crate) fn release(&self) {
        self.engine.release(&self.buffer);
    }

    /// A wait was left early and goes on at the next call.
    pub(crate) fn resume_wait(&mut self, wait: Wait) {
        self.idle = Some(wait);
    }

    /// Notes why a wait ended.
    pub(crate) fn woken(&self, by_bell: bool) {
        let count = if by_bell {
            Count::ListenerWakeup
        } else {
            Count::ListenerTimeout
        };
        self.queue.meter.add(count, 1);
    }
}

impl<S: QueueStore> Drop for Consumer<S> {
    fn drop(&mut self) {
        self.engine.release(&self.buffer);
        if let Some(token) = &self.alone {
            self.engine.alone.remove(token);
        }
    }
}

fn decode(row: Row, queue: &Queue) -> Result<EventMessage, String> {
    let problem = |what: &str, e: &serde_json::Error| {
        format!(
            "{what} is not JSON of the expected form: line {} column {}",
            e.line(),
            e.column()
        )
    };
    let payload = serde_json::from_str(&row.payload).map_err(|e| problem("the payload", &e))?;
    let metadata = match row.metadata.as_deref() {
        None => None,
        Some(text) => serde_json::from_str(text).map_err(|e| problem("the metadata", &e))?,
    };
    let mut message =
        EventMessage::new(row.event_id, queue.channel.clone(), payload, row.created_at);
    message.metadata = metadata;
    message.attempts = row.token.attempts;
    message.available_at = row.available_at;
    message.lease_expires_at = Some(row.lease_expires_at);
    Ok(message.held(Receipt::Held(row.token)))
}
