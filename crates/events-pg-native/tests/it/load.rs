//! Numbered events without a pause, who saw which of them, and whether what is missing is explained.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use events_core::{Backend as _, BoxSubscription, Gap, NewEvent, Timestamp};
use events_pg_native::NotifyBackend;
use futures_util::StreamExt as _;
use tokio::task::JoinHandle;

use crate::support::{until, within};

/// Between two events, so that the test does not fill the machine.
const PACE: Duration = Duration::from_millis(1);

/// When a number was sent, and whether the server said so; otherwise it may have been or not.
#[derive(Debug, Clone, Copy)]
struct Sent {
    begun: Timestamp,
    answered: Timestamp,
    known: bool,
}

/// A publisher that goes on whatever happens.
pub(crate) struct Load {
    sent: Arc<Mutex<Vec<Sent>>>,
    going: Arc<AtomicBool>,
    publishing: JoinHandle<()>,
}

impl Load {
    /// Publishes 0, 1, 2, … to each of the channels.
    pub(crate) fn start(backend: Arc<NotifyBackend>, channels: &'static [&'static str]) -> Self {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let going = Arc::new(AtomicBool::new(true));
        let (log, go_on) = (Arc::clone(&sent), Arc::clone(&going));
        let publishing = tokio::spawn(async move {
            let mut number = 0_usize;
            while go_on.load(Ordering::SeqCst) {
                let events = channels
                    .iter()
                    .map(|channel| NewEvent::new(*channel, number))
                    .collect();
                let begun = Timestamp::now();
                let answer = backend.publish(events).await;
                if let Err(error) = &answer {
                    assert!(error.is_retryable(), "{error}");
                }
                log.lock().unwrap().push(Sent {
                    begun,
                    answered: Timestamp::now(),
                    known: answer.is_ok(),
                });
                number += 1;
                tokio::time::sleep(PACE).await;
            }
        });
        Self {
            sent,
            going,
            publishing,
        }
    }

    /// How many numbers were sent so far.
    pub(crate) fn count(&self) -> usize {
        self.sent.lock().unwrap().len()
    }

    /// Waits for the next numbers that are known to be sent.
    pub(crate) async fn some_more(&self) {
        let before = self.count();
        until("more is published", || {
            let sent = self.sent.lock().unwrap();
            sent[before..].iter().filter(|sent| sent.known).count() >= 10
        })
        .await;
    }

    /// Ends it, and answers what it sent.
    pub(crate) async fn stop(self) -> Ledger {
        self.going.store(false, Ordering::SeqCst);
        within(self.publishing).await.unwrap();
        Ledger(Arc::try_unwrap(self.sent).unwrap().into_inner().unwrap())
    }
}

/// What a consumer saw.
#[derive(Debug, Clone)]
enum Seen {
    Number(usize),
    Gap(Gap),
}

/// A consumer that writes down all it sees.
pub(crate) struct Witness {
    seen: Arc<Mutex<Vec<Seen>>>,
    watching: JoinHandle<()>,
}

impl Witness {
    pub(crate) fn of(mut events: BoxSubscription) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let watching = tokio::spawn(async move {
            while let Some(item) = events.next().await {
                let one = match item {
                    Ok(message) => {
                        let number = message.payload.as_u64().expect("a number");
                        Seen::Number(usize::try_from(number).unwrap())
                    }
                    Err(error) => Seen::Gap(error.as_gap().expect("only gaps").clone()),
                };
                log.lock().unwrap().push(one);
            }
        });
        Self { seen, watching }
    }

    /// The gaps so far.
    pub(crate) fn gaps(&self) -> Vec<Gap> {
        let seen = self.seen.lock().unwrap();
        let gap = |seen: &Seen| match seen {
            Seen::Gap(gap) => Some(gap.clone()),
            Seen::Number(_) => None,
        };
        seen.iter().filter_map(gap).collect()
    }

    fn has(&self, number: usize) -> bool {
        let seen = self.seen.lock().unwrap();
        let is_it = |seen: &Seen| matches!(seen, Seen::Number(n) if *n == number);
        seen.iter().rev().any(is_it)
    }

    /// Ends with the number that was sent last, and answers how many were missed.
    pub(crate) async fn check(self, ledger: &Ledger) -> usize {
        let last = ledger.last();
        until("the last number arrives", || self.has(last)).await;
        self.watching.abort();
        ledger.explain(&self.seen.lock().unwrap())
    }
}

/// Everything that was sent.
pub(crate) struct Ledger(Vec<Sent>);

impl Ledger {
    fn last(&self) -> usize {
        self.0.len() - 1
    }

    /// Numbers come in order and once; those that are missing lie in a gap, by place and by time.
    fn explain(&self, seen: &[Seen]) -> usize {
        let (mut next, mut missed) = (0, 0);
        let mut gaps = Vec::new();
        for seen in seen {
            match seen {
                Seen::Gap(gap) => {
                    assert!(gap.from <= gap.until, "{gap:?}");
                    gaps.push(gap);
                }
                Seen::Number(number) => {
                    assert!(*number >= next, "{number} came after {}", next - 1);
                    missed += self.missing(next..*number, &gaps);
                    next = number + 1;
                    gaps.clear();
                }
            }
        }
        missed
    }

    fn missing(&self, numbers: Range<usize>, gaps: &[&Gap]) -> usize {
        let mut missed = 0;
        for number in numbers {
            let sent = self.0[number];
            let may_be_in = |gap: &&Gap| sent.begun <= gap.until && sent.answered >= gap.from;
            assert!(
                !sent.known || gaps.iter().any(may_be_in),
                "{number} is missing, {sent:?}, and the gaps there are {gaps:?}"
            );
            missed += usize::from(sent.known);
        }
        missed
    }
}
