//! A process of the tests: publishes and consumes, and records what it does.
//!
//! `events-test-worker ORDER`, an order as JSON. It ends when its standard input is closed, or at
//! the first error that time does not cure: then it says `failed` with the kind of the error. The
//! payload `"poison"` kills it on the spot.

mod blocking;
mod hostile;
mod migrate;
mod order;
mod steps;
mod tasks;

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use event_channels::Closer;

use crate::order::Order;

fn main() -> ExitCode {
    let order = std::env::args().nth(1).expect("an order");
    let order: Order = serde_json::from_str(&order).expect("an order as JSON");
    let stop = Closer::new();
    let stopped = stop.clone();
    std::thread::spawn(move || {
        // Whatever ends the input ends the work.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        stopped.close();
    });
    let done = match order {
        Order::Work(work) if work.blocking => blocking::run(&work, &stop),
        Order::Work(work) => tasks::run(&work, &stop),
        Order::Migrate(order) => migrate::run(&order, &stop),
        Order::Hostile(hostile) => {
            hostile::run(&hostile, &stop);
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed {}", error.kind()));
            let _ = writeln!(std::io::stderr(), "{error}: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// Says a word to the parent, which may have gone.
fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{word}").and_then(|()| out.flush());
}
