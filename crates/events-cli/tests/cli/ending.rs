//! How listening ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Command;

use crate::support::{folder, lines, run, run_with, start, stats};

#[test]
fn count_takes_no_more_and_timeout_leaves_cleanly() {
    let folder = folder();
    let folder = folder.path();
    run_with(folder, &["publish", "orders"], "1\n2\n3\n4\n5\n");
    assert_eq!(
        lines(&run(folder, &["listen", "orders", "--count", "2"])).len(),
        2
    );
    let left = stats(folder);
    assert_eq!(
        (&left["acked"], &left["ready"], &left["leased"]),
        (&2.into(), &3.into(), &0.into())
    );
    assert_eq!(
        lines(&run(folder, &["listen", "orders", "--timeout", "300ms"])).len(),
        3
    );
    assert_eq!(
        lines(&run(folder, &["listen", "orders", "--timeout", "100ms"])).len(),
        0
    );
    run(folder, &["publish", "orders", "6"]);
    assert_eq!(
        lines(&run(
            folder,
            &["listen", "orders", "--count", "1", "--no-ack"]
        ))
        .len(),
        1
    );
    assert_eq!(
        stats(folder)["leased"],
        1,
        "it comes back when its lease ends"
    );
}

/// SIGTERM ends a listener cleanly, and what it did not print is given back.
#[test]
fn a_signal_drains() {
    let folder = folder();
    let folder = folder.path();
    run_with(folder, &["publish", "orders"], "1\n2\n");
    let mut child = start(folder, &["listen", "orders"]);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..2 {
        assert!(output.read_line(&mut String::new()).unwrap() > 0);
    }
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    let left = stats(folder);
    assert_eq!((&left["acked"], &left["leased"]), (&2.into(), &0.into()));
}

/// Whoever reads our output goes away: nothing is acknowledged that was not written.
#[test]
fn a_broken_pipe_loses_nothing() {
    let folder = folder();
    let folder = folder.path();
    let input: String = (0..5000).map(|n| format!("{n}\n")).collect();
    run_with(folder, &["publish", "orders"], &input);
    let mut child = start(folder, &["listen", "orders"]);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    output.read_line(&mut first).unwrap();
    drop(output);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let left = stats(folder);
    let (acked, ready) = (
        left["acked"].as_u64().unwrap(),
        left["ready"].as_u64().unwrap(),
    );
    assert!(ready > 0 && acked < 5000, "{left}");
    assert_eq!(left["leased"].as_u64().unwrap() + acked + ready, 5000);
}

/// A publisher whose ids nobody reads says so: its output is the account of what is stored.
#[test]
fn publishing_into_a_closed_output_fails() {
    let folder = folder();
    let folder = folder.path();
    let mut child = start(folder, &["publish", "orders"]);
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    // It ends on the first id, so a later line may find nobody.
    while input.write_all(b"1\n").is_ok() {}
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
