//! What can be done to a store, and how it is chosen at random.
//!
//! A step names what it acts on by a number that is taken modulo what there is, so that every
//! sequence of steps makes sense and a failing one can be shortened.

use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any};
use proptest::{prop_compose, prop_oneof};

/// A case: settings and steps.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) setup: Setup,
    pub(super) steps: Vec<Step>,
}

/// What stays the same during a case.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) max_attempts: u32,
    pub(super) retention_seconds: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Register { channel: usize, group: usize },
    Publish(Vec<Event>),
    Claim(Claims),
    Settle(Vec<Verdict>),
    Pass { seconds: u64 },
    SetClock { by_seconds: i64 },
    Requeue { channel: usize, one: Option<usize> },
    Purge { channel: usize, one: Option<usize> },
    CleanUp,
    Reopen,
}

/// An event to publish.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) channel: usize,
    /// One of a few ids of the caller's own, so that some are repeated.
    pub(super) key: Option<u8>,
    pub(super) delay_seconds: u64,
    pub(super) priority: i16,
    pub(super) expires_seconds: Option<u64>,
    pub(super) metadata: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Claims {
    pub(super) queue: usize,
    pub(super) limit: usize,
    pub(super) suspects: bool,
    pub(super) dropped: Dropped,
}

/// What becomes of the answer of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    No,
    /// The future is dropped before it was polled.
    Unpolled,
    /// The future is dropped when the work has been asked for.
    Started,
}

#[derive(Debug, Clone)]
pub(super) struct Verdict {
    /// Whether it is for a holding that was settled before.
    pub(super) late: bool,
    /// Which of these.
    pub(super) hold: usize,
    pub(super) what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Ack,
    Retry { after_seconds: u64, error: bool },
    Reject { error: bool },
    Extend { seconds: u64 },
    Release,
}

pub(super) fn case(steps: usize) -> impl Strategy<Value = Case> {
    let retention = prop_oneof![Just(0), Just(3600), Just(3600)];
    (1..6_u32, retention, vec(step(), 0..=2 * steps)).prop_map(
        |(max_attempts, retention_seconds, steps)| {
            let setup = Setup {
                max_attempts,
                retention_seconds,
            };
            Case { setup, steps }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let one = || option::of(any::<usize>());
    prop_oneof![
        2 => (0..2_usize, 0..2_usize).prop_map(|(channel, group)| Step::Register { channel, group }),
        8 => vec(event(), 1..4).prop_map(Step::Publish),
        14 => claims().prop_map(Step::Claim),
        14 => vec(verdict(), 1..4).prop_map(Step::Settle),
        // A lease is 10 s; a key is forgotten after an hour at least.
        6 => prop_oneof![Just(1), Just(5), Just(10), Just(31), Just(3601)]
            .prop_map(|seconds| Step::Pass { seconds }),
        1 => prop_oneof![Just(-3600), Just(-4), Just(4), Just(3600)]
            .prop_map(|by_seconds| Step::SetClock { by_seconds }),
        2 => (0..2_usize, one()).prop_map(|(channel, one)| Step::Requeue { channel, one }),
        1 => (0..2_usize, one()).prop_map(|(channel, one)| Step::Purge { channel, one }),
        2 => Just(Step::CleanUp),
        1 => Just(Step::Reopen),
    ]
}

prop_compose! {
    fn event()(
        channel in 0..2_usize,
        key in option::weighted(0.3, 0..3_u8),
        delay_seconds in prop_oneof![4 => Just(0), 1 => Just(5), 1 => Just(30)],
        priority in prop_oneof![Just(-1_i16), Just(0), Just(0), Just(1)],
        expires_seconds in option::weighted(0.2, prop_oneof![Just(4), Just(20)]),
        metadata in any::<bool>(),
    ) -> Event {
        Event { channel, key, delay_seconds, priority, expires_seconds, metadata }
    }
}

prop_compose! {
    fn claims()(
        queue in any::<usize>(),
        limit in 1..5_usize,
        suspects in prop_oneof![Just(true), Just(true), Just(false)],
        dropped in prop_oneof![8 => Just(Dropped::No), 1 => Just(Dropped::Unpolled), 1 => Just(Dropped::Started)],
    ) -> Claims {
        Claims { queue, limit, suspects, dropped }
    }
}

fn verdict() -> impl Strategy<Value = Verdict> {
    let after = prop_oneof![Just(0_u64), Just(5), Just(20)];
    let what = prop_oneof![
        4 => Just(What::Ack),
        3 => (after, any::<bool>())
            .prop_map(|(after_seconds, error)| What::Retry { after_seconds, error }),
        2 => weighted(0.3).prop_map(|error| What::Reject { error }),
        2 => prop_oneof![Just(10_u64), Just(60)].prop_map(|seconds| What::Extend { seconds }),
        2 => Just(What::Release),
    ];
    (weighted(0.25), any::<usize>(), what).prop_map(|(late, hold, what)| Verdict {
        late,
        hold,
        what,
    })
}
