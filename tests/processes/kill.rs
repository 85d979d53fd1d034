//! `kill -9` at random moments, of publishers and consumers, in async code and on threads.

use std::fmt;
use std::time::Duration;

use events_testkit::history::{Expect, Report, State};
use events_testkit::{cycles, seed};

use crate::run::{Run, finish};

/// So long a consumer that was killed keeps what it held.
const LEASE: &str = "lease_seconds = 0.5";

/// What the victims are doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// Opening the file, the first ones also making it.
    Starting,
    Working,
    /// Giving back what they hold, and closing the file.
    Closing,
}

/// Who is killed, and what they were doing.
#[derive(Debug, Clone, Copy)]
struct Cycle {
    doing: Doing,
    publisher_dies: bool,
    consumer_dies: bool,
    blocking_publisher: bool,
    blocking_consumer: bool,
    batch: u64,
    listens: bool,
    nack_each: u64,
    moment: Duration,
}

impl Cycle {
    fn random(random: &mut fastrand::Rng) -> Self {
        let victims = random.u8(0..3);
        // Most of them while they work.
        let doing = [
            Doing::Starting,
            Doing::Closing,
            Doing::Working,
            Doing::Working,
        ];
        Self {
            doing: random.choice(doing).expect("there are four"),
            publisher_dies: victims != 1,
            consumer_dies: victims != 0,
            blocking_publisher: random.bool(),
            blocking_consumer: random.bool(),
            batch: random.choice([1, 10, 100]).expect("there are three"),
            listens: random.bool(),
            nack_each: random.choice([0, 7]).expect("there are two"),
            moment: Duration::from_micros(random.u64(0..30_000)),
        }
    }

    fn go(self, run: &mut Run) {
        let publisher = run
            .work("publisher")
            .options(LEASE)
            .blocking(self.blocking_publisher);
        let mut publisher = publisher
            .publishes(None, self.batch)
            .pausing(Duration::from_millis(self.batch / 5))
            .start();
        let consumer = run
            .work("consumer")
            .options(LEASE)
            .blocking(self.blocking_consumer);
        let mut consumer = consumer
            .consumes(2, self.listens)
            .nacking(self.nack_each)
            .start();
        if self.doing != Doing::Starting {
            publisher.says("published");
            consumer.says("received");
        }
        let mut victims = Vec::new();
        let mut survivors = Vec::new();
        for (process, dies) in [
            (publisher, self.publisher_dies),
            (consumer, self.consumer_dies),
        ] {
            if dies { &mut victims } else { &mut survivors }.push(process);
        }
        if self.doing == Doing::Closing {
            victims.iter_mut().for_each(|process| drop(process.input()));
        }
        std::thread::sleep(self.moment); // the random moment
        victims.iter_mut().for_each(|process| run.kill(process));
        finish(survivors);
    }
}

fn whoever_is_killed(
    mut run: Run,
    cycles: u32,
    context: &dyn fmt::Display,
    mut random: fastrand::Rng,
) -> Report {
    for number in 0..cycles {
        let cycle = Cycle::random(&mut random);
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cycle.go(&mut run)));
        done.unwrap_or_else(|_| panic!("{context}, cycle {number}: {cycle:?}"));
    }
    // What is left is handled, once the leases of the dead have ended.
    let last = run.work("last").options(LEASE).consumes(8, false).start();
    let channel = run.open();
    run.drained(&channel);
    finish([last]);
    channel.shutdown().unwrap();
    run.check(&Expect::new().wake_within(Duration::from_secs(5)))
}

/// Guarantees 1 to 7: whoever is killed, and when.
#[test]
fn g1_to_g7_whoever_is_killed_nothing_is_lost_and_nothing_comes_from_nowhere() {
    check(Run::new(), 120);
}

/// The same on PostgreSQL.
#[test]
fn g1_to_g7_on_postgres_whoever_is_killed_nothing_is_lost_and_nothing_comes_from_nowhere() {
    match Run::on_postgres() {
        Ok(run) => check(run, 30),
        Err(missing) => missing.skip("g1_to_g7_on_postgres"),
    }
}

fn check(run: Run, usual: u32) {
    let seed = seed();
    let cycles = cycles(usual, 9_000);
    let context = format!("EVENTS_TEST_SEED={seed}");
    let report = whoever_is_killed(run, cycles, &context, fastrand::Rng::with_seed(seed));
    report.assert_clean(&context);
    assert_eq!(
        report.rest.keys().collect::<Vec<_>>(),
        [&State::Acked],
        "{context}: {report}"
    );
    assert_eq!(
        report.rest[&State::Acked],
        report.published + report.recovered,
        "{context}: {report}"
    );
}
