//! The command `events`.

mod args;
mod config;
mod demo;
mod exec;
mod exit;
mod listen;
mod migrate;
mod output;
mod progress;
mod publish;
mod signals;
mod stats;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = if cli.global.verbose { "debug" } else { "warn" };
    tracing_subscriber::fmt()
        .with_env_filter(level)
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    let done = match cli.command {
        Command::Demo => demo::run().await,
        Command::Migrate(command) => migrate::run(&cli.global, command).await,
        Command::Publish(command) => publish::run(&cli.global, command).await,
        Command::Listen(command) => listen::run(&cli.global, command).await,
        Command::Stats(command) => stats::run(&cli.global, command).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
