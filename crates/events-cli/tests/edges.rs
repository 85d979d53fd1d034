//! What a script meets at the edges: counts with concurrency, gone readers, large lines, signals.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Far less than the drain deadline of 30 s, far more than any of these takes.
const SOON: Duration = Duration::from_secs(15);

fn start(folder: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_events"))
        .args(arguments)
        .current_dir(folder)
        .env("TMPDIR", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn run_with(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = start(folder, arguments);
    // A command that ends early does not read everything.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn stats(folder: &Path) -> Value {
    let output = run_with(folder, &["stats", "orders", "--json"], b"");
    serde_json::from_slice::<Value>(&output.stdout).unwrap()[0]["groups"][0].clone()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn signal(pid: &str, name: &str) -> bool {
    let kill = Command::new("kill")
        .args([name, pid])
        .stderr(Stdio::null())
        .status();
    kill.unwrap().success()
}

#[test]
fn a_count_with_concurrency_takes_no_more_and_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run_with(folder, &["publish", "orders"], b"1\n2\n3\n4\n5\n6\n");
    for (count, concurrency, acked) in [("2", "4", 2), ("3", "2", 5)] {
        let since = Instant::now();
        let arguments = [
            "listen",
            "orders",
            "--count",
            count,
            "--concurrency",
            concurrency,
        ];
        let output = run_with(folder, &[&arguments[..], &["--exec", "cat"]].concat(), b"");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout).lines().count().to_string(), count);
        assert!(since.elapsed() < SOON);
        let left = stats(folder);
        assert_eq!(
            (&left["acked"], &left["leased"]),
            (&acked.into(), &0.into()),
            "{left}"
        );
        assert_eq!(left["ready"], 6 - acked);
    }
}

#[test]
fn a_gone_reader_ends_exec_at_once_and_acknowledges_nothing_unwritten() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run_with(folder, &["publish", "orders"], b"1\n2\n3\n");
    let since = Instant::now();
    let mut child = start(folder, &["listen", "orders", "--exec", "cat >> seen"]);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    drop(child.stdin.take());
    output.read_line(&mut String::new()).unwrap();
    drop(output);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(since.elapsed() < SOON);
    let left = stats(folder);
    let seen = fs::read_to_string(folder.join("seen")).unwrap();
    assert_eq!(
        left["acked"],
        seen.len(),
        "a command ran for each that is acknowledged"
    );
    assert_eq!(left["leased"], 0);
}

#[test]
fn a_handler_timeout_does_not_confuse_the_count() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(
        folder.join("c.toml"),
        "handler_timeout = 0.1\nmax_attempts = 1",
    )
    .unwrap();
    run_with(folder, &["publish", "orders"], b"1\n2\n3\n");
    let arguments = [
        "--config",
        "c.toml",
        "listen",
        "orders",
        "--count",
        "2",
        "--exec",
        "exec sleep 60",
    ];
    let output = run_with(folder, &arguments, b"");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let left = stats(folder);
    assert_eq!(
        (&left["dead"], &left["ready"]),
        (&2.into(), &1.into()),
        "{left}"
    );
}

#[test]
fn lines_that_are_too_large_are_told_by_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (size, stored) in [(2_000_000, 2), (22_000_000, 4)] {
        let input = format!("1\n2\n\"{}\"\n", "x".repeat(size));
        let output = run_with(folder, &["publish", "orders"], input.as_bytes());
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output.stderr).contains("line 3: "),
            "{}",
            text(&output.stderr)
        );
        assert_eq!(text(&output.stdout).lines().count(), 2);
        assert_eq!(stats(folder)["ready"], stored);
    }
}

#[test]
fn arguments_are_what_they_look_like() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let quiet = run_with(folder, &["publish", "orders", "\"http://u:p@h/x\""], b"");
    assert_eq!(
        (quiet.status.code(), text(&quiet.stderr)),
        (Some(0), String::new())
    );
    assert_eq!(
        run_with(folder, &["publish", "orders", "-5"], b"")
            .status
            .code(),
        Some(0)
    );
    for usage in [["1", "--batch", "5"], ["1", "--concurrency", "5"]] {
        let output = run_with(folder, &[&["publish", "orders"], &usage[..]].concat(), b"");
        assert_eq!(output.status.code(), Some(2));
    }
    let alone = run_with(folder, &["listen", "orders", "--concurrency", "5"], b"");
    assert!(
        text(&alone.stderr).contains("--exec"),
        "{}",
        text(&alone.stderr)
    );
    let odd = Command::new(env!("CARGO_BIN_EXE_events"))
        .arg("--config")
        .arg(std::ffi::OsStr::from_bytes(b"\xff.toml"))
        .arg("stats")
        .current_dir(folder)
        .output();
    assert_eq!(odd.unwrap().status.code(), Some(2));
    let help = Command::new(env!("CARGO_BIN_EXE_events"))
        .arg("--help")
        .envs(["EVENTS_URL", "EVENTS_TABLE", "EVENTS_CONFIG"].map(|name| (name, "canary")))
        .output();
    assert!(!text(&help.unwrap().stdout).contains("canary"));
    let url = "postgres://u:canary@h/d";
    let told = run_with(folder, &["stats", "--url", url], b"");
    assert_eq!(text(&told.stderr).matches("holds a password").count(), 1);
    assert!(!text(&told.stderr).contains("canary"));
}

#[test]
fn a_second_signal_ends_the_command_too() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run_with(folder, &["publish", "orders", "1"], b"");
    let mut child = start(
        folder,
        &["listen", "orders", "--exec", "echo $$ >&2; exec sleep 60"],
    );
    let mut pid = String::new();
    BufReader::new(child.stderr.as_mut().unwrap())
        .read_line(&mut pid)
        .unwrap();
    let own = child.id().to_string();
    // Again and again, because two signals at once are one.
    let since = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        assert!(since.elapsed() < SOON);
        signal(&own, "-TERM");
        std::thread::yield_now();
    };
    assert_eq!(code, Some(130));
    while signal(pid.trim(), "-0") {
        assert!(since.elapsed() < SOON, "the command still runs");
        std::thread::yield_now();
    }
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(folder.path(), &["demo"]);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    assert!(signal(&child.id().to_string(), "-TERM"));
    drop(output);
    child.wait().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
