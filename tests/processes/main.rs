//! Several processes on one file: at work together, killed, starved, or in each other's way.
//!
//! What they did is checked as a history; see `events_testkit::history`.

mod contention;
mod crowd;
mod hostile;
mod kill;
mod many;
mod migrate;
#[path = "../worker/order.rs"]
mod order;
mod poison;
mod reader;
mod replaced;
mod run;
mod stopped;
