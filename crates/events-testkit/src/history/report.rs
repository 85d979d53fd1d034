//! What a check found: counts, percentiles, and each broken rule with examples.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::record::State;
use super::view::{Publish, View};

/// Broken rules are told with so many examples.
const EXAMPLES: usize = 10;

/// A rule of a history, H1 to H11.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// H1: a stored event is acknowledged, or in the tables.
    Lost,
    /// H2: what is delivered was published, and so.
    Unexpected,
    /// H3: a publish of unknown outcome is stored whole or not at all.
    Recovered,
    /// H4: an event has one holder at a time.
    Overlap,
    /// H5: an acknowledged event is not delivered again.
    AfterAck,
    /// H6: each claim raises the fence, and a verdict of an overtaken claim is not recorded.
    Fence,
    /// H7: attempts are claims without releases, and the last one makes a dead letter.
    Attempts,
    /// H8: a second delivery has a cause.
    Duplicate,
    /// H9: an idle consumer is given an event in time.
    Wake,
    /// H10: first deliveries follow the order of commits.
    Order,
    /// H11: the tables at last are what was done to them.
    Rest,
}

/// Why an event was delivered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Its consumer was killed.
    Death,
    /// Its consumer gave it up.
    Nack,
    /// Its consumer gave it back.
    Release,
    /// It was a dead letter, and was put back.
    Requeue,
    /// The power was lost.
    PowerLoss,
    /// Its lease ran out.
    Expiry,
}

/// How long something took, over all times that it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Percentiles {
    /// How often.
    pub count: usize,
    /// Half of them took no longer.
    pub p50: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// The longest one.
    pub max: Duration,
}

impl Percentiles {
    pub(super) fn of(mut nanos: Vec<u64>) -> Self {
        nanos.sort_unstable();
        let Some(last) = nanos.last() else {
            return Self::default();
        };
        let at = |percent| Duration::from_nanos(nanos[(nanos.len() - 1) * percent / 100]);
        Self {
            count: nanos.len(),
            p50: at(50),
            p99: at(99),
            max: Duration::from_nanos(*last),
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Processes that recorded something.
    pub processes: usize,
    /// Events of publishes that answered ids.
    pub published: usize,
    /// Events of publishes of unknown outcome.
    pub in_doubt: usize,
    /// Of those, the ones that turned up.
    pub recovered: usize,
    /// Deliveries, repeated ones included.
    pub deliveries: usize,
    /// Stored events of a group that were never delivered and are not in the tables.
    pub lost: usize,
    /// Second and later deliveries of an event to a group, by cause.
    pub duplicates: BTreeMap<Cause, usize>,
    /// How operations failed, and how often.
    pub failures: BTreeMap<String, usize>,
    /// Rows of the tables at last, by state.
    pub rest: BTreeMap<State, usize>,
    /// From the return of a publish to the delivery by a consumer that was waiting all the time.
    pub wake: Percentiles,
    /// From the begin of a publish to its answer.
    pub publish: Percentiles,
    /// From the begin of a verdict to its answer.
    pub settle: Percentiles,
    broken: BTreeMap<Rule, (usize, Vec<String>)>,
}

impl Report {
    pub(super) fn of(view: &View<'_>) -> Self {
        let answered = |publish: &Publish<'_>| Some(publish.done?.saturating_sub(publish.begun));
        let mut report = Self {
            processes: view.processes.len(),
            deliveries: view.holds.values().map(Vec::len).sum(),
            failures: view.failures.clone(),
            publish: Percentiles::of(view.publishes.iter().filter_map(answered).collect()),
            settle: Percentiles::of(view.settle_times.clone()),
            ..Self::default()
        };
        for row in view.rows.iter().flat_map(BTreeMap::values).flatten() {
            *report.rest.entry(row.state).or_default() += 1;
        }
        report
    }

    /// Notes that a rule is broken; the text is made only for the examples.
    pub(super) fn break_rule(&mut self, rule: Rule, example: impl FnOnce() -> String) {
        let (count, examples) = self.broken.entry(rule).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(example());
        }
    }

    /// The rules that are broken.
    #[must_use]
    pub fn broken(&self) -> Vec<Rule> {
        self.broken.keys().copied().collect()
    }

    /// Second and later deliveries, whatever their cause.
    #[must_use]
    pub fn duplicates(&self) -> usize {
        self.duplicates.values().sum()
    }

    /// Fails the test unless every rule holds and there was something to check.
    ///
    /// # Panics
    /// With the whole report and `context`, which says how to repeat it.
    pub fn assert_clean(&self, context: impl fmt::Display) {
        assert!(
            self.published + self.in_doubt > 0 && self.deliveries > 0,
            "{context}: a history in which nothing happened proves nothing\n{self}"
        );
        assert!(
            self.broken.is_empty(),
            "{context}: rules are broken\n{self}"
        );
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} processes; {} events published, {} in doubt of which {} turned up; {} deliveries, {} lost",
            self.processes,
            self.published,
            self.in_doubt,
            self.recovered,
            self.deliveries,
            self.lost
        )?;
        writeln!(f, "duplicates by cause: {:?}", self.duplicates)?;
        writeln!(f, "failures: {:?}", self.failures)?;
        writeln!(f, "at rest: {:?}", self.rest)?;
        for (name, times) in [
            ("wake", self.wake),
            ("publish", self.publish),
            ("settle", self.settle),
        ] {
            writeln!(
                f,
                "{name}: {} times, p50 {:?}, p99 {:?}, max {:?}",
                times.count, times.p50, times.p99, times.max
            )?;
        }
        for (number, rule) in Rule::ALL.into_iter().enumerate() {
            let Some((count, examples)) = self.broken.get(&rule) else {
                continue;
            };
            writeln!(
                f,
                "H{} {rule:?} is broken {count} times, such as",
                number + 1
            )?;
            for example in examples {
                writeln!(f, "  {example}")?;
            }
        }
        Ok(())
    }
}

impl Rule {
    /// H1 to H11.
    pub const ALL: [Self; 11] = [
        Self::Lost,
        Self::Unexpected,
        Self::Recovered,
        Self::Overlap,
        Self::AfterAck,
        Self::Fence,
        Self::Attempts,
        Self::Duplicate,
        Self::Wake,
        Self::Order,
        Self::Rest,
    ];
}
