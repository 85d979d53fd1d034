//! `cargo xtask migrate`: the `migrate` command of the command line tool, built from this checkout.
//! It is run, not linked, so that no database driver is compiled into the tasks.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::sh;

/// Passes every argument on and returns the exit code of the command.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    // In the caller's folder: `sqlite:app.db` must mean the same as when `events` is called.
    let mut command = sh::cargo();
    command
        .args(["run", "--quiet", "--package", "events-cli", "--", "migrate"])
        .args(arguments);
    sh::exit_code(&mut command)
}
