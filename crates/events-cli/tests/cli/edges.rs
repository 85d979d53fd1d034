//! What a script meets at the edges: counts with concurrency, gone readers, large lines, signals.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{folder, run_with, start, stats, text};

/// Far less than the drain deadline of 30 s, far more than any of these takes.
const SOON: Duration = Duration::from_secs(15);

fn signal(pid: &str, name: &str) -> bool {
    let kill = Command::new("kill")
        .args([name, pid])
        .stderr(Stdio::null())
        .status();
    kill.unwrap().success()
}

/// Whether a process is there and no zombie that nobody has collected yet.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().unwrap_or_default();
    !(state.is_empty() || state.starts_with('Z'))
}

#[test]
fn a_count_with_concurrency_takes_no_more_and_ends_at_once() {
    let folder = folder();
    let folder = folder.path();
    run_with(folder, &["publish", "orders"], "1\n2\n3\n4\n5\n6\n");
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
        let output = run_with(folder, &[&arguments[..], &["--exec", "cat"]].concat(), "");
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
    let folder = folder();
    let folder = folder.path();
    run_with(folder, &["publish", "orders"], "1\n2\n3\n");
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
    let folder = folder();
    let folder = folder.path();
    fs::write(
        folder.join("c.toml"),
        "handler_timeout = 0.1\nmax_attempts = 1",
    )
    .unwrap();
    run_with(folder, &["publish", "orders"], "1\n2\n3\n");
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
    let output = run_with(folder, &arguments, "");
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
    let folder = folder();
    let folder = folder.path();
    for (size, stored) in [(2_000_000, 2), (22_000_000, 4)] {
        let input = format!("1\n2\n\"{}\"\n", "x".repeat(size));
        let output = run_with(folder, &["publish", "orders"], &input);
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
    let folder = folder();
    let folder = folder.path();
    let quiet = run_with(folder, &["publish", "orders", "\"http://u:p@h/x\""], "");
    assert_eq!(
        (quiet.status.code(), text(&quiet.stderr)),
        (Some(0), String::new())
    );
    assert_eq!(
        run_with(folder, &["publish", "orders", "-5"], "")
            .status
            .code(),
        Some(0)
    );
    for usage in [["1", "--batch", "5"], ["1", "--concurrency", "5"]] {
        let output = run_with(folder, &[&["publish", "orders"], &usage[..]].concat(), "");
        assert_eq!(output.status.code(), Some(2));
    }
    let alone = run_with(folder, &["listen", "orders", "--concurrency", "5"], "");
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
    let told = run_with(folder, &["stats", "--url", url], "");
    assert_eq!(text(&told.stderr).matches("holds a password").count(), 1);
    assert!(!text(&told.stderr).contains("canary"));
}

#[test]
fn a_second_signal_ends_the_command_and_what_it_started() {
    let folder = folder();
    let folder = folder.path();
    run_with(folder, &["publish", "orders", "1"], "");
    // The shell waits for the second one; the first is in the background of it.
    let script = "sleep 60 & echo $! >&2; sh -c 'echo $$ >&2; sleep 60'; true";
    let mut child = start(folder, &["listen", "orders", "--exec", script]);
    let mut output = BufReader::new(child.stderr.take().unwrap());
    let pids = [(); 2].map(|()| {
        let mut pid = String::new();
        output.read_line(&mut pid).unwrap();
        pid
    });
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
    for pid in pids {
        while runs(pid.trim()) {
            assert!(since.elapsed() < SOON, "the command still runs");
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_command_that_ends_leaves_its_background_alone() {
    let folder = folder();
    let folder = folder.path();
    run_with(folder, &["publish", "orders", "1"], "");
    let script = "sleep 60 >/dev/null 2>&1 & echo $! > pid";
    let listen = ["listen", "orders", "--count", "1", "--exec", script];
    let output = run_with(folder, &listen, "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let pid = fs::read_to_string(folder.join("pid")).unwrap();
    let left = runs(pid.trim());
    signal(pid.trim(), "-KILL");
    assert!(left);
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing() {
    let folder = folder();
    let mut child = start(folder.path(), &["demo"]);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    assert!(signal(&child.id().to_string(), "-TERM"));
    drop(output);
    child.wait().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
