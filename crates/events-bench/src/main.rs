//! Benchmarks of event-channels: `cargo xtask bench` runs this.
//!
//! Each case measures the library as an application uses it, and in the same rounds what the
//! database does without it. What the figures mean is in `docs/src/performance.md`.

mod args;
mod case;
mod consumer;
mod measured;
mod ours;
mod payload;
mod place;
mod postgres;
mod postgres_native;
mod process;
mod report;
mod run;
mod runtime;
mod sqlite;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Role};

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.role {
        Some(Role::Consume(asked)) => consumer::consume(asked),
        None => run::run(&args, &mut std::io::stdout()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}
