//! What is compared with what, and which ratio it must reach.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use event_channels::Durability;

use crate::measured::Measured;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The name under which the library's own lines are printed.
pub(crate) const OURS: &str = "event-channels";

/// Subjects that are measured in turn, round after round; the first one is ours.
pub(crate) struct Comparison {
    pub(crate) case: &'static str,
    pub(crate) by: Metric,
    /// Measured without being asked for.
    pub(crate) standard: bool,
    pub(crate) ours: Subject,
    /// What our own value must reach.
    pub(crate) bounds: Vec<Bound>,
    pub(crate) others: Vec<Other>,
}

/// Something that ours is compared with.
pub(crate) struct Other {
    pub(crate) subject: Subject,
    /// What the ratio of ours to it must reach.
    pub(crate) bounds: Vec<Bound>,
}

/// Something that can be measured again and again.
pub(crate) struct Subject {
    pub(crate) peer: &'static str,
    pub(crate) setting: Setting,
    pub(crate) measure: Measure,
}

pub(crate) type Measure = Box<dyn FnMut(&Effort) -> Result<Measured>>;

/// The value that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metric {
    /// Events in a second.
    PerSecond,
    /// The median time of one.
    Median,
    /// The time that one of a hundred takes or exceeds.
    Slow,
    /// Processor time.
    Cpu,
}

impl Metric {
    pub(crate) fn of(self, measured: &Measured) -> Option<f64> {
        match self {
            Self::PerSecond => measured.per_second(),
            Self::Median => measured.percentile(50),
            Self::Slow => measured.percentile(99),
            Self::Cpu => measured.cpu_percent,
        }
    }
}

/// A limit, and how serious it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bound {
    pub(crate) rule: Rule,
    /// Must hold; a goal is only worked for.
    pub(crate) floor: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rule {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    pub(crate) fn floor(rule: Rule) -> Self {
        Self { rule, floor: true }
    }

    pub(crate) fn goal(rule: Rule) -> Self {
        Self { rule, floor: false }
    }

    pub(crate) fn holds(self, value: f64) -> bool {
        match self.rule {
            Rule::AtLeast(least) => value >= least,
            Rule::AtMost(most) => value <= most,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.floor { "floor" } else { "goal" };
        match self.rule {
            Rule::AtLeast(least) => write!(f, "{kind} ≥ {least:.2}"),
            Rule::AtMost(most) => write!(f, "{kind} ≤ {most:.2}"),
        }
    }
}

/// Under which conditions a subject is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The backend by its name in the options.
    pub(crate) backend: &'static str,
    pub(crate) api: Api,
    pub(crate) durability: Durability,
    pub(crate) retention: Duration,
    pub(crate) payload_bytes: usize,
}

/// The size of a small payload; the peers' harnesses use it too.
pub(crate) const SMALL: usize = 110;
/// Every size that is measured.
pub(crate) const SIZES: [usize; 3] = [SMALL, 1024, 8192];

impl Default for Setting {
    /// As a user gets it who changes nothing.
    fn default() -> Self {
        Self {
            backend: "poll_queue",
            api: Api::Async,
            durability: Durability::Power,
            retention: Duration::from_secs(86_400),
            payload_bytes: SMALL,
        }
    }
}

impl Setting {
    pub(crate) fn durability_name(&self) -> &'static str {
        match self.durability {
            Durability::Power => "power",
            Durability::Process => "process",
        }
    }

    /// Blocking and async, flushed and not, in every size.
    pub(crate) fn publishing() -> impl Iterator<Item = Self> {
        SIZES.into_iter().flat_map(|payload_bytes| {
            [Api::Blocking, Api::Async]
                .into_iter()
                .flat_map(move |api| {
                    [Durability::Process, Durability::Power].map(|durability| Self {
                        api,
                        durability,
                        payload_bytes,
                        ..Self::default()
                    })
                })
        })
    }

    /// Blocking and async, kept and deleted, in every size.
    pub(crate) fn consuming() -> impl Iterator<Item = Self> {
        SIZES.into_iter().flat_map(|payload_bytes| {
            [Api::Blocking, Api::Async]
                .into_iter()
                .flat_map(move |api| {
                    [Self::default().retention, Duration::ZERO].map(|retention| Self {
                        api,
                        retention,
                        payload_bytes,
                        ..Self::default()
                    })
                })
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Api {
    Async,
    Blocking,
}

impl Api {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Blocking => "blocking",
        }
    }
}

/// How much is measured at once, and where.
#[derive(Debug, Clone)]
pub(crate) struct Effort {
    /// Multiplies every number of events.
    pub(crate) scale: f64,
    /// How long events trickle in the latency cases.
    pub(crate) latency: Duration,
    /// How long nothing happens in the idle case.
    pub(crate) idle: Duration,
    /// Where database files are made.
    pub(crate) folder: PathBuf,
    /// Where the programs of rivals are.
    pub(crate) rivals: Option<PathBuf>,
}

impl Effort {
    /// That many events, or fewer for a quick run; a multiple of `of`, and at least that.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of events, scaled by a positive number"
    )]
    pub(crate) fn events(&self, full: usize, of: usize) -> usize {
        let wanted = (full as f64 * self.scale).round() as usize;
        (wanted / of).max(1) * of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_on_their_side() {
        let least = Bound::floor(Rule::AtLeast(0.5));
        assert!(least.holds(0.5) && !least.holds(0.49));
        let most = Bound::goal(Rule::AtMost(1.4));
        assert!(most.holds(1.4) && !most.holds(1.41));
        assert_eq!(
            (least.to_string(), most.to_string()),
            ("floor ≥ 0.50".into(), "goal ≤ 1.40".into())
        );
    }

    #[test]
    fn a_quick_run_still_has_whole_batches() {
        let effort = |scale| Effort {
            scale,
            latency: Duration::ZERO,
            idle: Duration::ZERO,
            folder: PathBuf::new(),
            rivals: None,
        };
        assert_eq!(effort(1.0).events(20_000, 100), 20_000);
        assert_eq!(effort(0.001).events(20_000, 100), 100);
        assert_eq!(effort(0.5).events(3, 1), 2);
    }
}
