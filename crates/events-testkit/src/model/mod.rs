//! Any store does what the reference store does: random steps, the same answers, the same contents.
//!
//! Both stores go by one clock that stands still until a step moves it, so everything but row ids
//! is compared exactly. A failing case is shrunk to its shortest form, and its seed printed;
//! `EVENTS_TEST_SEED` repeats a run.

mod pair;
mod step;
mod tally;

use std::cell::RefCell;

use events_queue::{Clock, QueueBackend, QueueConfig, QueueStore};
use proptest::test_runner::{Config, RngSeed, TestRunner};

use self::pair::Pair;
use self::tally::Tally;

/// Enough for each way that a step can go to be gone often.
const CASES: u32 = 256;
const CASES_IF_LONG: u32 = 10_000;
/// On average.
const STEPS: usize = 50;

/// Runs random steps against the reference store and a store under test.
///
/// `place` makes a new empty database and returns how it is opened; it is opened again within a
/// case, as after a crash.
///
/// # Panics
/// When the two differ, or when the steps did not reach everything that they are to compare.
pub fn agrees_with_the_reference<S, O>(place: impl Fn() -> O)
where
    S: QueueStore,
    O: Fn(QueueConfig, Clock) -> QueueBackend<S>,
{
    let seed = std::env::var("EVENTS_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let cases = match std::env::var_os("EVENTS_TEST_LONG") {
        Some(_) => CASES_IF_LONG,
        None => CASES,
    };
    let mut runner = TestRunner::new(Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    });
    let tally = RefCell::new(Tally::default());
    let outcome = runner.run(&step::case(STEPS), |case| {
        let mut pair = Pair::new(place(), &case.setup);
        case.steps.iter().try_for_each(|step| pair.step(step))?;
        tally.borrow_mut().add(&pair.tally);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("EVENTS_TEST_SEED={seed}: {failure}");
    }
    tally.borrow().assert_nothing_is_missing(seed);
}
