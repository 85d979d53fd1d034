//! `cargo xtask bench`: the benchmarks, optimised as a release is.
//! They are run, not linked, so that no database driver is compiled into the tasks.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::sh;

/// Passes every argument on and returns the exit code of the benchmarks.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    // In the caller's folder, for `--dir`.
    let mut command = sh::cargo();
    command
        .args(["run", "--quiet", "--release"])
        .args(["--package", "events-bench", "--"])
        .args(arguments);
    sh::exit_code(&mut command)
}
