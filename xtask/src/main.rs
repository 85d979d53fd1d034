//! The tasks of this repository. Each command has a file of its own; this one only dispatches.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its user"
)]

mod bench;
mod ci;
mod docs;
mod flags;
mod install;
mod migrate;
mod oracle_sql;
mod sh;
mod sqlspec;
mod test;
mod tidy;

use std::process::ExitCode;

use flags::Task;

fn main() -> ExitCode {
    let task = match Task::parse(std::env::args_os().skip(1)) {
        Ok(task) => task,
        Err(message) => {
            eprintln!("error: {message}\n\n{}", flags::USAGE);
            return ExitCode::from(2);
        }
    };
    let done = match task {
        Task::Help => {
            println!("{}", flags::USAGE);
            Ok(())
        }
        Task::Test(options) => test::run(&options),
        Task::Ci { install } => ci::run(install),
        Task::Tidy => tidy::run(),
        Task::Docs { check } => docs::run(check),
        Task::OracleSql { install } => oracle_sql::run(install),
        Task::Migrate(arguments) => return migrate::run(&arguments),
        Task::Bench(arguments) => return bench::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
