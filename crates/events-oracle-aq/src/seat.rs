//! The thread of one session of a consumer: it dequeues, hands over, and does what was decided.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use events_core::telemetry::Count;
use events_core::{Error, EventMessage, Op, Result, RetryAfter, Settled, Timestamp, Verdict};
use events_oracle_session::Session;

use crate::config::whole_seconds;
use crate::context::Order;
use crate::desk::Desk;
use crate::envelope::Envelope;
use crate::message::{self, Incoming, Outgoing};
use crate::pause::Pause;

/// A message in hand.
struct InHand {
    envelope: Envelope,
    priority: i64,
    /// This delivery.
    attempts: u32,
}

struct Seat<'a> {
    desk: &'a Arc<Desk>,
    number: usize,
    session: Option<Session>,
    pause: Pause,
}

/// The life of the thread. A panic ends the stream with an error; what was held goes back.
pub(crate) fn run(desk: &Arc<Desk>, number: usize) {
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let _breaks = Breaks(desk, number);
        serve(desk, number);
    }));
    desk.stand_up();
}

/// Tells the desk of a panic, before what was declared earlier is dropped by it.
struct Breaks<'a>(&'a Arc<Desk>, usize);

impl Drop for Breaks<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.break_down(self.1);
        }
    }
}

/// Serves the desk until its consumer is gone and nothing is held.
fn serve(desk: &Arc<Desk>, number: usize) {
    let mut seat = Seat {
        desk,
        number,
        session: None,
        pause: Pause::default(),
    };
    while desk.sit() {
        match seat.next() {
            Ok(true) => seat.pause.end(),
            Ok(false) => {
                seat.pause.end();
                desk.empty_handed();
            }
            Err(error) => seat.failed(error),
        }
    }
}

impl Seat<'_> {
    /// Looks for a message and sees it through; false when none came.
    fn next(&mut self) -> Result<bool> {
        let desk = self.desk;
        let session = match self.session.take() {
            Some(session) => session,
            None => desk.connecting(|| self.connect())?,
        };
        desk.meter.add(Count::Poll, 1);
        let call = || message::dequeue(&session, &desk.wanted);
        let Some(found) = desk.calling(self.number, session.interrupter(), call) else {
            return Ok(false);
        };
        let Some(incoming) = found? else {
            desk.meter.add(Count::PollEmpty, 1);
            self.session = Some(session);
            if desk.wanted.wait_seconds == 0 {
                desk.rest(desk.between);
            }
            return Ok(false);
        };
        self.pause.end();
        self.handle(session, incoming)
    }

    fn connect(&self) -> Result<Session> {
        let config = &self.desk.context.config;
        let wait = Duration::from_secs(self.desk.wanted.wait_seconds);
        let session = Session::connect(
            &config.server,
            self.desk.context.name,
            Some(config.timeout + wait),
        )?;
        self.desk.meter.add(Count::ListenerAcquire, 1);
        Ok(session)
    }

    /// The session is in no state to be used again; it is rolled back by its end.
    fn failed(&mut self, error: Error) {
        let desk = self.desk;
        if desk.is_left() {
            desk.empty_handed();
            return;
        }
        desk.meter.add(Count::DequeueError, 1);
        let told = self.pause.is_failing() && error.is_retryable();
        let pause = self.pause.next();
        tracing::debug!(%error, channel = %desk.channel, ?pause, "a dequeue failed");
        if !told {
            // Once for each outage; the consumer goes on waiting for its end.
            desk.bring(None, Err(error));
        }
        desk.rest(pause);
        if told {
            desk.empty_handed();
        }
    }

    fn handle(&mut self, session: Session, incoming: Incoming) -> Result<bool> {
        let desk = self.desk;
        let envelope = Envelope::decode(incoming.body.as_deref(), incoming.id);
        let in_hand = InHand {
            attempts: envelope
                .attempts
                .saturating_add(incoming.rollbacks)
                .saturating_add(1),
            priority: incoming.priority,
            envelope,
        };
        let expired = in_hand
            .envelope
            .expires_at
            .is_some_and(|at| at <= Timestamp::now());
        if expired && desk.context.settles() {
            desk.meter.add(Count::Expired, 1);
            self.bury(&session, &in_hand, "expired")?;
            self.session = Some(session);
            return Ok(false);
        }
        if in_hand.attempts > desk.context.config.max_attempts && desk.context.settles() {
            desk.meter.add(Count::Dead, 1);
            self.bury(&session, &in_hand, "max_attempts")?;
            self.session = Some(session);
            return Ok(false);
        }
        if expired {
            self.session = Some(session);
            return Ok(false);
        }
        let lag = Timestamp::now().duration_since(in_hand.envelope.published_at);
        desk.meter
            .delivered(Duration::try_from(lag).unwrap_or_default());
        let mut delivered = EventMessage::new(
            in_hand.envelope.event_id,
            desk.channel.clone(),
            in_hand.envelope.payload.clone(),
            in_hand.envelope.published_at,
        );
        delivered.metadata.clone_from(&in_hand.envelope.metadata);
        if !desk.context.settles() {
            self.session = Some(session);
            desk.bring(None, Ok(delivered));
            return Ok(true);
        }
        delivered.attempts = in_hand.attempts;
        self.see_through(session, in_hand, delivered)
    }

    /// Hands the message over and waits for the verdict.
    fn see_through(
        &mut self,
        session: Session,
        in_hand: InHand,
        delivered: EventMessage,
    ) -> Result<bool> {
        let desk = self.desk;
        let context = &desk.context;
        let (hold, receipt) = context.hold(desk, delivered.event_id, in_hand.attempts);
        let row = hold.row();
        desk.bring(Some(row), Ok(delivered.held(receipt)));
        let order = desk.verdict(&hold).or_else(|| hold.let_go());
        let Some(Order { verdict, answer }) = order else {
            // Shut down: given back, since the rollback at the end of the session counts as an attempt.
            if let Err(error) = self.record_on(&session, in_hand, Verdict::Release) {
                tracing::warn!(%error, "an event that was held could not be given back, so the attempt counts");
            }
            desk.settled();
            return Ok(true);
        };
        // Whoever has the answer to the verdict may ask for the next event, and learns of a panic then.
        let breaks = Breaks(desk, self.number);
        let settled = self.record_on(&session, in_hand, verdict);
        drop(breaks);
        match &settled {
            Ok(_) => self.session = Some(session),
            Err(_) => {
                context.unrecorded(row);
                drop(session);
            }
        }
        // Before the answer: whoever has it may ask for the next event.
        desk.settled();
        answer.give(settled);
        Ok(true)
    }

    /// Records a verdict, which a shutdown does not wait for without end.
    fn record_on(&self, session: &Session, in_hand: InHand, verdict: Verdict) -> Result<Settled> {
        let work = || self.record(session, in_hand, verdict);
        self.desk.settling(self.number, session.interrupter(), work)
    }

    fn record(&self, session: &Session, mut in_hand: InHand, verdict: Verdict) -> Result<Settled> {
        let meter = &self.desk.meter;
        match verdict {
            Verdict::Ack => {
                session.commit(Op::Ack)?;
                meter.add(Count::Ack, 1);
            }
            Verdict::Release => {
                // Put back in the same transaction: a rollback would count as an attempt.
                in_hand.envelope.attempts = in_hand.attempts - 1;
                self.put_back(session, &in_hand, Duration::ZERO)?;
            }
            Verdict::Nack { retry, reason } => {
                let said = reason.is_some();
                in_hand.envelope.failed(reason);
                let context = &self.desk.context;
                let last = in_hand.attempts >= context.config.max_attempts;
                let delay = match retry {
                    RetryAfter::Delay(delay) if !last => delay,
                    RetryAfter::Policy if !last => context.config.backoff.delay(in_hand.attempts),
                    RetryAfter::Delay(_) | RetryAfter::Policy => {
                        self.bury(session, &in_hand, "max_attempts")?;
                        meter.add(Count::Nack, 1);
                        meter.add(Count::Dead, 1);
                        return Ok(Settled::Recorded);
                    }
                    _ => {
                        self.bury(session, &in_hand, "rejected")?;
                        meter.add(Count::Nack, 1);
                        meter.add(Count::Dead, 1);
                        return Ok(Settled::Recorded);
                    }
                };
                if delay.is_zero() && !said {
                    session.rollback(Op::Nack)?;
                } else {
                    in_hand.envelope.attempts = in_hand.attempts;
                    self.put_back(session, &in_hand, delay)?;
                }
                meter.add(Count::Nack, 1);
            }
            _ => return Ok(Settled::NothingToRecord),
        }
        Ok(Settled::Recorded)
    }

    /// Enqueues the message anew in the transaction that took it out.
    fn put_back(&self, session: &Session, in_hand: &InHand, delay: Duration) -> Result<()> {
        let desk = self.desk;
        let left = in_hand.envelope.expires_at.map(|at| {
            let left = at.duration_since(Timestamp::now());
            whole_seconds(Duration::try_from(left).unwrap_or_default())
        });
        let again = Outgoing {
            queue: desk.wanted.queue.clone(),
            body: String::new(),
            correlation: desk.wanted.again.clone(),
            priority: in_hand.priority,
            delay_seconds: whole_seconds(delay),
            expiration_seconds: left,
        };
        let envelope = in_hand.envelope.clone();
        self.replace(session, again, envelope, |envelope| {
            envelope.encode(&desk.channel)
        })
    }

    /// Makes a dead letter of the message in the transaction that took it out.
    fn bury(&self, session: &Session, in_hand: &InHand, reason: &str) -> Result<()> {
        let desk = self.desk;
        let mut envelope = in_hand.envelope.clone();
        envelope.attempts = in_hand.attempts;
        let dead = Outgoing {
            queue: desk.wanted.queue.clone(),
            body: String::new(),
            correlation: desk.wanted.dead.clone(),
            priority: in_hand.priority,
            delay_seconds: 0,
            expiration_seconds: None,
        };
        self.replace(session, dead, envelope, |envelope| {
            envelope.encode_dead(&desk.channel, reason, Timestamp::now())
        })
    }

    /// Commits a message in place of the one in hand. What the queue cannot carry goes back as it
    /// was, by a rollback: Oracle counts those, and in the end puts the message away by itself.
    fn replace(
        &self,
        session: &Session,
        mut message: Outgoing,
        mut envelope: Envelope,
        encode: impl Fn(&Envelope) -> String,
    ) -> Result<()> {
        message.body = encode(&envelope);
        if !message.fits() {
            // The longest of what was added, and the least needed.
            envelope.last_error = None;
            message.body = encode(&envelope);
        }
        if !message.fits() {
            tracing::warn!(
                event_id = %envelope.event_id,
                queue = message.queue.name,
                "a message is too long to be put back with its attempts; it is rolled back"
            );
            return session.rollback(Op::Nack);
        }
        message::enqueue(session, Op::Nack, &[message])?;
        session.commit(Op::Nack)
    }
}
