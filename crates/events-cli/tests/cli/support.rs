//! Runs the command in a folder of its own.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    command_of(env!("CARGO_BIN_EXE_events").as_ref(), folder, arguments)
}

/// A copy of the command elsewhere.
pub(crate) fn command_of(binary: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command
        .args(arguments)
        .current_dir(folder)
        .env("TMPDIR", folder);
    for variable in [
        "EVENTS_URL",
        "EVENTS_DIRECT_URL",
        "EVENTS_BACKEND",
        "EVENTS_TABLE",
        "EVENTS_CONFIG",
    ] {
        command.env_remove(variable);
    }
    command
}

pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub(crate) fn run_with(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = start(folder, arguments);
    // A command that ends early does not read everything.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Child {
    command(folder, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The lines of a run that went well.
pub(crate) fn lines(output: &Output) -> Vec<String> {
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone())
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// A run that failed with this code, and says each hint.
pub(crate) fn fails(output: &Output, code: i32, hints: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for hint in hints {
        assert!(text.contains(hint), "{hint:?} is not in: {text}");
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn stats(folder: &Path) -> Value {
    let text = lines(&run(folder, &["stats", "orders", "--json"])).concat();
    serde_json::from_str::<Value>(&text).unwrap()[0]["groups"][0].clone()
}
