//! The Python environment in which SQLSpec runs, for the test that exchanges events with it.

use std::path::PathBuf;
use std::process::Command;

use crate::sh::{self, Result};

/// What is installed, at fixed versions, and nothing else is promised to work.
const PACKAGES: &[&str] = &["sqlspec==0.69.0", "asyncpg==0.30.0"];

/// Where Cargo puts what it builds; the test looks there too.
fn folder() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    sh::root().join(target).join("sqlspec")
}

/// Sees to it that it is there. Returns a line for the test that will be skipped without it:
/// whatever comes from another registry is never a reason to fail.
pub(crate) fn ensure(install: bool) -> Option<String> {
    let folder = folder();
    let python = folder.join("bin/python");
    let works = || sh::succeeds(Command::new(&python).args(["-c", "import asyncpg, sqlspec"]));
    if works() {
        return None;
    }
    let why = if install {
        match make(&folder) {
            Ok(()) if works() => return None,
            Ok(()) => "it cannot be imported".to_owned(),
            Err(error) => error.to_string(),
        }
    } else {
        "run with --install".to_owned()
    };
    Some(format!(
        "skipped: the exchange with SQLSpec: SQLSpec not installed; {why}"
    ))
}

fn make(folder: &PathBuf) -> Result<()> {
    println!(
        "installing SQLSpec ({}): events are exchanged with it",
        PACKAGES.join(", ")
    );
    sh::run(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(folder),
    )?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    sh::run(pip.args(PACKAGES))
}
