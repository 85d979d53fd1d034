//! Verdicts: policy decided, sent to the store, and the answer put in the caller's words.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use events_core::telemetry::Count;
use events_core::{
    Error, ErrorKind, EventId, HoldToken, Op, Operation, Pending, Receipt, Result, RetryAfter,
    Settled, Settlement, Verdict,
};

use crate::engine::Engine;
use crate::settled::Key;
use crate::unheard::Earlier;
use crate::{DeadReason, Outcome, QueueConfig, QueueStore, StoreSettlement, StoreVerdict};

/// The longest reason that is kept, in bytes.
const MAX_REASON_BYTES: usize = 2048;

impl<S: QueueStore> Engine<S> {
    /// Records verdicts; each answer stands in the place of its settlement.
    pub(crate) fn settle(
        self: &Arc<Self>,
        settlements: Vec<Settlement>,
    ) -> Pending<Vec<Result<Settled>>> {
        if let Err(error) = self.check_open(Op::Ack) {
            return Pending::ready(Err(error));
        }
        let mut answers = Vec::with_capacity(settlements.len());
        let mut sent = Vec::with_capacity(settlements.len());
        let mut kinds = Vec::with_capacity(settlements.len());
        for settlement in settlements {
            let op = op_of(&settlement.verdict);
            let Receipt::Held(token) = settlement.receipt else {
                answers.push(Some(Err(Error::new(ErrorKind::NotHeld, op)
                    .because(format!(
                        "event {} was not claimed from a queue",
                        settlement.event_id
                    ))
                    .in_backend(self.store.name()))));
                continue;
            };
            let verdict = store_verdict(
                &self.config,
                &token,
                settlement.verdict,
                self.alone.contains(&token),
            );
            // Whoever waits for an event claimed alone need not wait for the answer to this.
            match &verdict {
                StoreVerdict::Extend(by) => self.alone.extend(&token, *by),
                _ => self.alone.remove(&token),
            }
            let key = (token, settlement.event_id);
            let kind = Sent::of(&verdict);
            let earlier = match kind.settles() {
                Some(settled) => self.settled.note(key, settled),
                None => self.settled.recall(&key),
            };
            answers.push(None);
            kinds.push(SentTo {
                token,
                event_id: settlement.event_id,
                sent: kind,
                earlier,
            });
            sent.push(StoreSettlement {
                token,
                event_id: settlement.event_id,
                verdict,
            });
        }
        if sent.is_empty() {
            return Pending::ready(Ok(answers.into_iter().flatten().collect()));
        }
        Pending::started(UnderWay {
            answer: Some(self.store.settle(sent)),
            asked: false,
            verdicts: kinds,
            places: answers,
            engine: Arc::clone(self),
        })
    }

    /// The answer of each settlement in its place: those that were refused before, and those that
    /// the store answered.
    fn answers(
        &self,
        places: Vec<Option<Result<Settled>>>,
        verdicts: Vec<SentTo>,
        outcomes: Result<Vec<Outcome>>,
    ) -> Result<Vec<Result<Settled>>> {
        let outcomes = outcomes.inspect_err(|_| {
            // Nothing of it was recorded, so a repeat must not be told that it was.
            for to in verdicts.iter().filter(|to| to.is_noted()) {
                self.settled.forget(&to.key());
            }
        })?;
        let mut outcomes = verdicts.into_iter().zip(outcomes);
        let answer = |refused: Option<Result<Settled>>| {
            refused.or_else(|| {
                outcomes
                    .next()
                    .map(|(to, outcome)| self.answer(&to, outcome))
            })
        };
        Ok(places.into_iter().filter_map(answer).collect())
    }

    fn answer(&self, to: &SentTo, outcome: Outcome) -> Result<Settled> {
        let SentTo { token, sent, .. } = to;
        match outcome {
            Outcome::Recorded => {
                self.with_meter(token.queue_id, |meter| {
                    sent.counts().iter().for_each(|count| meter.add(*count, 1))
                });
                if let (Earlier::Unheard, Some(verdict)) = (to.earlier, sent.settles()) {
                    self.settled.stands(&to.key(), verdict);
                }
                Ok(Settled::Recorded)
            }
            Outcome::AlreadyAcked => Ok(Settled::AlreadyAcked),
            Outcome::AlreadyNacked => Ok(Settled::AlreadyNacked),
            Outcome::Gone => self.gone(to),
        }
    }

    /// The row is not as this holding left it: if we settled it ourselves, say so.
    fn gone(&self, to: &SentTo) -> Result<Settled> {
        let earlier = match to.earlier {
            Earlier::Unheard => self.settled.recall(&to.key()),
            earlier => earlier,
        };
        let why = match earlier {
            Earlier::Sent(stands) => return Ok(stands),
            Earlier::None => {
                self.settled.forget(&to.key());
                "was claimed again or given up after its lease ended"
            }
            Earlier::Unheard => {
                "is held no more: it was claimed again, or an earlier verdict whose answer was not waited for was recorded"
            }
        };
        self.with_meter(to.token.queue_id, |meter| meter.add(Count::HoldLost, 1));
        Err(Error::new(ErrorKind::HoldLost, to.sent.op())
            .because(format!("event {} {why}; nothing was changed", to.event_id))
            .in_backend(self.store.name()))
    }
}

/// Verdicts that the store is carrying out.
struct UnderWay<S: QueueStore> {
    // Dropped before the engine, which may be the last to hold the store.
    answer: Option<Pending<Vec<Outcome>>>,
    /// The store was asked to do it, so dropping this does not undo it.
    asked: bool,
    verdicts: Vec<SentTo>,
    places: Vec<Option<Result<Settled>>>,
    engine: Arc<Engine<S>>,
}

impl<S: QueueStore> UnderWay<S> {
    fn answered(&mut self, outcomes: Result<Vec<Outcome>>) -> Result<Vec<Result<Settled>>> {
        self.answer = None;
        let places = std::mem::take(&mut self.places);
        let verdicts = std::mem::take(&mut self.verdicts);
        self.engine.answers(places, verdicts, outcomes)
    }
}

impl<S: QueueStore> Future for UnderWay<S> {
    type Output = Result<Vec<Result<Settled>>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.asked = true;
        let answer = self.answer.as_mut().expect("an answer is taken once");
        let outcomes = ready!(Pin::new(answer).poll(cx));
        Poll::Ready(self.answered(outcomes))
    }
}

impl<S: QueueStore> Operation<Vec<Result<Settled>>> for UnderWay<S> {
    fn start(mut self: Pin<&mut Self>) {
        self.asked = true;
        if let Some(answer) = &mut self.answer {
            answer.start();
        }
    }

    fn wait(mut self: Pin<Box<Self>>) -> Result<Vec<Result<Settled>>> {
        let answer = self.answer.take().expect("an answer is taken once");
        let outcomes = answer.wait();
        self.answered(outcomes)
    }
}

impl<S: QueueStore> Drop for UnderWay<S> {
    fn drop(&mut self) {
        let Some(answer) = self.answer.take() else {
            return;
        };
        let noted = (0..).zip(&self.verdicts).filter(|(_, to)| to.is_noted());
        if self.asked {
            let noted = noted.map(|(nr, to)| (nr, to.key()));
            self.engine.settled.give_up(answer, noted);
        } else {
            noted.for_each(|(_, to)| self.engine.settled.forget(&to.key()));
        }
    }
}

/// A verdict on its way.
struct SentTo {
    token: HoldToken,
    event_id: EventId,
    sent: Sent,
    /// What this process had decided about the same holding before.
    earlier: Earlier,
}

impl SentTo {
    fn key(&self) -> Key {
        (self.token, self.event_id)
    }

    /// It is the verdict that is noted.
    fn is_noted(&self) -> bool {
        self.sent.settles().is_some() && self.earlier == Earlier::None
    }
}

/// What was sent, as much of it as the answer needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Ack,
    Nack,
    Dead,
    Extend,
    Release,
}

impl Sent {
    fn of(verdict: &StoreVerdict) -> Self {
        match verdict {
            StoreVerdict::Ack => Self::Ack,
            StoreVerdict::Retry { .. } => Self::Nack,
            StoreVerdict::Dead { .. } => Self::Dead,
            StoreVerdict::Extend(_) => Self::Extend,
            StoreVerdict::Release { .. } => Self::Release,
        }
    }

    fn counts(self) -> &'static [Count] {
        match self {
            Self::Ack => &[Count::Ack],
            Self::Nack => &[Count::Nack],
            Self::Dead => &[Count::Nack, Count::Dead],
            Self::Extend | Self::Release => &[],
        }
    }

    /// What a later verdict is told of it.
    fn settles(self) -> Option<Settled> {
        match self {
            Self::Ack => Some(Settled::AlreadyAcked),
            Self::Nack | Self::Dead | Self::Release => Some(Settled::AlreadyNacked),
            Self::Extend => None,
        }
    }

    fn op(self) -> Op {
        match self {
            Self::Ack => Op::Ack,
            Self::Extend => Op::Extend,
            Self::Nack | Self::Dead | Self::Release => Op::Nack,
        }
    }
}

fn op_of(verdict: &Verdict) -> Op {
    match verdict {
        Verdict::Ack => Op::Ack,
        Verdict::Extend(_) => Op::Extend,
        _ => Op::Nack,
    }
}

/// Applies the retry policy.
pub(crate) fn store_verdict(
    config: &QueueConfig,
    token: &HoldToken,
    verdict: Verdict,
    suspect: bool,
) -> StoreVerdict {
    match verdict {
        Verdict::Ack => StoreVerdict::Ack,
        Verdict::Extend(by) => StoreVerdict::Extend(by),
        Verdict::Nack { retry, reason } => {
            let error = reason.map(|text| shorten(&text));
            let after = match retry {
                RetryAfter::Never => {
                    return StoreVerdict::Dead {
                        reason: DeadReason::Rejected,
                        error,
                    };
                }
                RetryAfter::Delay(after) => after,
                _ => config.backoff.delay(token.attempts),
            };
            if token.attempts >= config.max_attempts {
                return StoreVerdict::Dead {
                    reason: DeadReason::MaxAttempts,
                    error,
                };
            }
            StoreVerdict::Retry { after, error }
        }
        _ => StoreVerdict::Release { suspect },
    }
}

/// One line of at most [`MAX_REASON_BYTES`], control characters escaped.
fn shorten(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_REASON_BYTES));
    for c in text.chars() {
        let before = line.len();
        match c {
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
        if line.len() > MAX_REASON_BYTES {
            line.truncate(before);
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn token(attempts: u32) -> HoldToken {
        HoldToken {
            queue_id: 1,
            row: 1,
            fence: 1,
            priority: 0,
            attempts,
            keyed: false,
        }
    }

    fn nack(retry: RetryAfter) -> Verdict {
        Verdict::Nack {
            retry,
            reason: Some("why".to_owned()),
        }
    }

    #[test]
    fn the_last_attempt_makes_a_dead_letter() {
        let config = QueueConfig {
            max_attempts: 3,
            ..QueueConfig::default()
        };
        let second = store_verdict(
            &config,
            &token(2),
            nack(RetryAfter::Delay(Duration::ZERO)),
            false,
        );
        assert!(matches!(
            second,
            StoreVerdict::Retry {
                after: Duration::ZERO,
                ..
            }
        ));
        for retry in [RetryAfter::Policy, RetryAfter::Delay(Duration::ZERO)] {
            let third = store_verdict(&config, &token(3), nack(retry), false);
            assert!(matches!(
                third,
                StoreVerdict::Dead {
                    reason: DeadReason::MaxAttempts,
                    ..
                }
            ));
        }
        let never = store_verdict(&config, &token(1), nack(RetryAfter::Never), false);
        assert!(matches!(
            never,
            StoreVerdict::Dead {
                reason: DeadReason::Rejected,
                ..
            }
        ));
    }

    #[test]
    fn reasons_are_one_bounded_line() {
        assert_eq!(shorten("é\nb"), "é\\nb");
        let longest = "a".repeat(MAX_REASON_BYTES);
        assert_eq!(shorten(&longest), longest);
        assert_eq!(shorten(&format!("{longest}a")), longest);
        assert!(shorten(&"é".repeat(5000)).len() <= MAX_REASON_BYTES);
    }
}
