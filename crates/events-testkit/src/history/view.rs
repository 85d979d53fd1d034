//! What the rules look at: who published what, and who held what from when to when.

use std::collections::{BTreeMap, HashMap};

use event_channels::EventId;

use super::hold::{Hold, Settle};
use super::pairing::{Log, Operation, Process};
use super::{Answer, Op, Outcome, Record, Row, Sent, Verdict};

/// A channel and a group.
pub(super) type Queue<'a> = (&'a str, Option<&'a str>);

/// What the rules look at.
#[derive(Debug, Default)]
pub(super) struct View<'a> {
    pub(super) processes: HashMap<&'a str, Process>,
    pub(super) publishes: Vec<Publish<'a>>,
    /// Where each event was published: the publish, and the place in it. Several places if it was
    /// published again under the same id.
    pub(super) events: HashMap<EventId, Vec<(usize, usize)>>,
    /// The deliveries of each event to each queue, in the order of their claims.
    pub(super) holds: BTreeMap<(EventId, Queue<'a>), Vec<Hold<'a>>>,
    /// When consumers waited.
    pub(super) waits: HashMap<Queue<'a>, Vec<Wait>>,
    pub(super) power_lost: Vec<u64>,
    /// When dead letters were put back, at the earliest.
    pub(super) requeued: HashMap<EventId, Vec<u64>>,
    /// The tables at last, if they were looked at.
    pub(super) rows: Option<BTreeMap<(EventId, Queue<'a>), Vec<&'a Row>>>,
    pub(super) failures: BTreeMap<String, usize>,
    pub(super) settle_times: Vec<u64>,
}

/// A publish of some events.
#[derive(Debug)]
pub(super) struct Publish<'a> {
    pub(super) begun: u64,
    /// When it answered; `None` if it did not, or its answer says nothing.
    pub(super) done: Option<u64>,
    pub(super) channel: &'a str,
    pub(super) sent: &'a [Sent],
    /// The ids, as far as they are known.
    pub(super) ids: Vec<Option<EventId>>,
    pub(super) fate: Fate,
}

/// What became of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It answered ids.
    Stored,
    /// It was not answered, or with an error that leaves it open.
    InDoubt,
    /// It was answered with an error that says that nothing was stored.
    Refused,
}

/// A consumer waited from here to there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    pub(super) begun: u64,
    pub(super) end: u64,
}

impl<'a> View<'a> {
    pub(super) fn of(log: Log<'a>) -> Self {
        let mut view = Self {
            power_lost: log.power_lost,
            ..Self::default()
        };
        let mut deliveries = HashMap::new();
        for operation in &log.operations {
            let process: &str = &operation.begun.process;
            match operation.op {
                Op::Publish { channel, events } => view.add_publish(operation, channel, events),
                Op::Receive {
                    consumer,
                    channel,
                    group,
                } => {
                    let queue = (channel.as_str(), group.as_deref());
                    view.add_wait(queue, operation, &log.processes[process], log.end);
                    if let Some(hold) = view.received(operation, *consumer) {
                        deliveries.insert((process, operation.call), (queue, hold));
                    }
                }
                Op::Settle { delivery, verdict } => {
                    let settle = view.settled(operation, *verdict);
                    let (_, hold) =
                        deliveries
                            .get_mut(&(process, *delivery))
                            .unwrap_or_else(|| {
                                panic!(
                                    "{process} settled what it had not received: call {delivery}"
                                )
                            });
                    hold.settles.push(settle);
                }
                Op::Requeue { event } => {
                    let times = view.requeued.entry(*event).or_default();
                    times.push(operation.begun.at);
                }
            }
        }
        view.processes = log.processes;
        for (queue, hold) in deliveries.into_values() {
            let key = (hold.delivered.event, queue);
            view.holds.entry(key).or_default().push(hold);
        }
        for holds in view.holds.values_mut() {
            holds.sort_by_key(|hold| (hold.delivered.fence, hold.got));
        }
        view.rows = log.rows.map(|rows| {
            let mut by_event: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for row in rows {
                let queue = (row.channel.as_str(), row.group.as_deref());
                by_event.entry((row.event, queue)).or_default().push(row);
            }
            by_event
        });
        view.name_events();
        view
    }

    fn add_publish(&mut self, operation: &Operation<'a>, channel: &'a str, sent: &'a [Sent]) {
        let mut ids: Vec<Option<EventId>> = sent.iter().map(|event| event.id).collect();
        let (fate, done) = match operation.ended {
            None => (Fate::InDoubt, None),
            Some((record, Answer::Published(outcome))) => match self.note(outcome) {
                Some(told) => {
                    for (id, told) in ids.iter_mut().zip(told) {
                        *id = Some(*told);
                    }
                    (Fate::Stored, Some(record.at))
                }
                None if matches!(outcome, Outcome::Refused(_)) => (Fate::Refused, Some(record.at)),
                None => (Fate::InDoubt, None),
            },
            Some(_) => operation.misfit(),
        };
        self.publishes.push(Publish {
            begun: operation.begun.at,
            done,
            channel,
            sent,
            ids,
            fate,
        });
    }

    /// A wait that did not end lasts as long as its process, unless somebody gave it up.
    fn add_wait(&mut self, queue: Queue<'a>, wait: &Operation<'a>, process: &Process, end: u64) {
        let end = match (wait.ended, process.killed) {
            (Some((record, _)), _) => record.at,
            (None, Some(killed)) => killed,
            (None, None) if !process.ended => end,
            (None, None) => return,
        };
        let begun = wait.begun.at;
        self.waits
            .entry(queue)
            .or_default()
            .push(Wait { begun, end });
    }

    fn received(&mut self, operation: &Operation<'a>, consumer: u32) -> Option<Hold<'a>> {
        let (record, answer): (&Record, _) = operation.ended?;
        let Answer::Received(outcome) = answer else {
            operation.misfit()
        };
        let delivered = self.note(outcome)?.as_ref()?;
        Some(Hold {
            process: &operation.begun.process,
            consumer,
            asked: operation.begun.at,
            got: record.at,
            got_wall: record.wall,
            delivered,
            settles: Vec::new(),
        })
    }

    fn settled(&mut self, operation: &Operation<'a>, verdict: Verdict) -> Settle<'a> {
        let mut settle = Settle {
            verdict,
            begun: operation.begun.at,
            begun_wall: operation.begun.wall,
            done: None,
            outcome: None,
        };
        if let Some((record, answer)) = operation.ended {
            let Answer::Settled(outcome) = answer else {
                operation.misfit()
            };
            self.note(outcome);
            self.settle_times
                .push(record.at.saturating_sub(settle.begun));
            settle.done = Some(record.at);
            settle.outcome = Some(outcome);
        }
        settle
    }

    /// Counts a failure.
    fn note<T>(&mut self, outcome: &'a Outcome<T>) -> Option<&'a T> {
        match outcome {
            Outcome::Ok(value) => Some(value),
            Outcome::Refused(reason) | Outcome::Unknown(reason) => {
                *self.failures.entry(reason.clone()).or_default() += 1;
                None
            }
        }
    }

    /// Whether the power was lost between two moments.
    pub(super) fn power_lost_between(&self, from: u64, to: u64) -> bool {
        self.power_lost.iter().any(|at| (from..=to).contains(at))
    }

    /// Whether the count of attempts was, or may have been, begun anew between two moments.
    pub(super) fn begins_anew(&self, event: &EventId, from: u64, to: u64) -> bool {
        let requeued = self.requeued.get(event).into_iter().flatten();
        requeued.into_iter().any(|at| (from..=to).contains(at)) || self.power_lost_between(from, to)
    }
}
