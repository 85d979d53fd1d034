//! The command as a script meets it: output, exit codes, errors.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_events"));
    command.args(arguments).current_dir(folder);
    for variable in [
        "EVENTS_URL",
        "EVENTS_BACKEND",
        "EVENTS_TABLE",
        "EVENTS_CONFIG",
    ] {
        command.env_remove(variable);
    }
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn run_with(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = start(folder, arguments);
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn start(folder: &Path, arguments: &[&str]) -> Child {
    command(folder, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The lines of a run that went well.
fn lines(output: &Output) -> Vec<String> {
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
fn fails(output: &Output, code: i32, hints: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for hint in hints {
        assert!(text.contains(hint), "{hint:?} is not in: {text}");
    }
}

fn stats(folder: &Path) -> Value {
    let text = lines(&run(folder, &["stats", "orders", "--json"])).concat();
    serde_json::from_str::<Value>(&text).unwrap()[0]["groups"][0].clone()
}

#[test]
fn one_event_goes_through() {
    let folder = folder();
    let folder = folder.path();
    let metadata = ["--metadata", "{\"m\":1}"];
    let id = lines(&run(
        folder,
        &[&["publish", "orders", "{\"id\": 1}"], &metadata[..]].concat(),
    ));
    let events = lines(&run(folder, &["listen", "orders", "--count", "1"]));
    let event: Value = serde_json::from_str(&events[0]).unwrap();
    let mut fields: Vec<_> = event
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    let eight = [
        "attempts",
        "available_at",
        "channel",
        "created_at",
        "event_id",
        "lease_expires_at",
        "metadata",
        "payload",
    ];
    assert_eq!(fields, eight);
    assert_eq!(event["event_id"], id[0].as_str());
    assert_eq!(
        (
            &event["payload"]["id"],
            &event["metadata"]["m"],
            &event["attempts"]
        ),
        (&1.into(), &1.into(), &1.into())
    );
    assert_eq!(
        (&stats(folder)["acked"], &stats(folder)["ready"]),
        (&1.into(), &0.into())
    );
    let table = lines(&run(folder, &["stats"]));
    assert!(
        table[0].starts_with("channel") && table[1].starts_with("orders"),
        "{table:?}"
    );
}

#[test]
fn json_lines_are_published_in_order_and_ids_printed_in_order() {
    let folder = folder();
    let folder = folder.path();
    let input: String = (0..1000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let mut ids = lines(&run_with(folder, &["publish", "orders"], &input));
    ids.extend(lines(&run_with(
        folder,
        &["publish", "orders", "--batch", "64"],
        &input,
    )));
    assert_eq!(ids.len(), 2000);
    let events = lines(&run(folder, &["listen", "orders", "--count", "2000"]));
    for (at, (line, id)) in events.iter().zip(&ids).enumerate() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["payload"]["n"], at % 1000);
        assert_eq!(event["event_id"], id.as_str());
    }
    assert_eq!(stats(folder)["acked"], 2000);
}

#[test]
fn a_bad_line_is_told_by_its_number_after_everything_before_it() {
    let folder = folder();
    let folder = folder.path();
    let output = run_with(
        folder,
        &["publish", "orders"],
        "{\"n\":1}\n\n{\"n\":2}\n{\"canary\": oops}\n{\"n\":3}\n",
    );
    fails(&output, 1, &["line 4", "not JSON"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("canary"));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2);
    assert_eq!(stats(folder)["ready"], 2);
    let cut = run_with(
        folder,
        &["publish", "orders", "--batch", "2"],
        "1\n2\n3\nx\n",
    );
    fails(&cut, 1, &["line 4"]);
    assert_eq!(stats(folder)["ready"], 4, "a batch is all or none");
}

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

#[test]
fn groups_each_get_every_event() {
    let folder = folder();
    let folder = folder.path();
    for group in ["billing", "mail"] {
        run(
            folder,
            &["listen", "orders", "--group", group, "--timeout", "10ms"],
        );
    }
    run(folder, &["publish", "orders", "7"]);
    for group in ["billing", "mail"] {
        assert_eq!(
            lines(&run(
                folder,
                &["listen", "orders", "--group", group, "--count", "1"]
            ))
            .len(),
            1
        );
    }
}

#[test]
fn exec_acknowledges_by_exit_code_and_gets_payload_and_variables() {
    let folder = folder();
    let folder = folder.path();
    run_with(folder, &["publish", "orders"], "{\"n\":1}\n{\"n\":2}\n");
    let script =
        "cat >> seen; echo \" $EVENT_CHANNEL $EVENT_ATTEMPTS ${#EVENT_ID}\" >> seen; echo shown";
    let output = run(
        folder,
        &["listen", "orders", "--count", "2", "--exec", script],
    );
    assert_eq!(
        lines(&output).len(),
        2,
        "the events themselves are on standard output"
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "shown\nshown\n");
    assert_eq!(
        fs::read_to_string(folder.join("seen")).unwrap(),
        "{\"n\":1} orders 1 32\n{\"n\":2} orders 1 32\n"
    );
    assert_eq!(stats(folder)["acked"], 2);

    run(folder, &["publish", "orders", "3"]);
    fs::write(folder.join("events.toml"), "max_attempts = 1").unwrap();
    let failing = [
        "--config",
        "events.toml",
        "listen",
        "orders",
        "--count",
        "1",
        "--exec",
        "exit 7",
    ];
    assert_eq!(lines(&run(folder, &failing)).len(), 1);
    assert_eq!(stats(folder)["dead"], 1);
    let database = Connection::open(folder.join("events.db")).unwrap();
    let error: String = database
        .query_row(
            "SELECT last_error FROM sqlspec_event_queue_dead",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(error, "exit code 7");
}

#[test]
fn migrations() {
    let folder = folder();
    let folder = folder.path();
    let sql = lines(&run(
        folder,
        &["migrate", "--dry-run", "--table", "app_events"],
    ))
    .join("\n");
    assert!(
        sql.contains("CREATE TABLE \"app_events\"") && !sql.contains("sqlspec"),
        "{sql}"
    );
    assert!(lines(&run(folder, &["migrate", "status"]))[0].contains("ext_events_0001  pending"));
    assert!(
        !folder.join("events.db").exists(),
        "looking creates no file"
    );
    assert_eq!(
        lines(&run(folder, &["migrate"])),
        ["applied ext_events_0001"]
    );
    assert_eq!(lines(&run(folder, &["migrate", "up"])), ["nothing to do"]);
    assert!(lines(&run(folder, &["migrate", "status"]))[0].contains("ext_events_0001  applied"));
    assert_eq!(lines(&run(folder, &["migrate", "export", "sql"])).len(), 2);
    assert!(
        fs::read_to_string(folder.join("sql/0001_create_event_queue.up.sql"))
            .unwrap()
            .contains("CREATE TABLE")
    );
    let down = lines(&run(folder, &["migrate", "down", "--dry-run"])).join("\n");
    assert!(down.contains("DROP TABLE"), "{down}");
    assert_eq!(
        lines(&run(folder, &["migrate", "down"])),
        ["reverted ext_events_0001"]
    );
    assert!(lines(&run(folder, &["migrate", "status"]))[0].contains("pending"));
    fails(
        &run(folder, &["migrate", "status", "--dry-run"]),
        2,
        &["--dry-run"],
    );
}

#[test]
fn usage_and_configuration_errors_are_2() {
    let folder = folder();
    let folder = folder.path();
    fails(&run(folder, &["publich", "orders"]), 2, &["publich"]);
    fails(
        &run(folder, &["publish", "orders", "1", "--colour"]),
        2,
        &["--colour"],
    );
    fails(
        &run(folder, &["publish", "not-a-name", "1"]),
        2,
        &["not-a-name", "ASCII letter"],
    );
    fails(
        &run(folder, &["publish", "orders", "{oops"]),
        2,
        &["not JSON"],
    );
    fails(
        &run(folder, &["publish", "orders", "1", "--delay", "5 minutes"]),
        2,
        &["250ms"],
    );
    fails(
        &run(folder, &["publish", "orders", "1", "--event-id", "order-1"]),
        2,
        &["UUIDv5"],
    );
    fails(
        &run(folder, &["publish", "orders", "1", "--metadata", "[1]"]),
        2,
        &["JSON object"],
    );
    fails(
        &run(folder, &["--backend", "rabbit", "stats"]),
        2,
        &["poll_queue, notify"],
    );
    fails(
        &run(folder, &["--backend", "table_queue", "stats"]),
        2,
        &["was removed", "poll_queue"],
    );
    fails(&run(folder, &["--table", "a-b", "stats"]), 2, &["a-b"]);
    fails(
        &run(folder, &["--url", "mysql://h/d", "stats"]),
        2,
        &["mysql", "sqlite:"],
    );
    fails(
        &run(folder, &["--url", "postgres://u:canary@h/d", "stats"]),
        2,
        &["PostgreSQL"],
    );
    let secret = run(folder, &["--url", "postgres://u:canary@h/d", "stats"]);
    assert!(!String::from_utf8_lossy(&secret.stderr).contains("canary"));
    fails(
        &run(folder, &["--config", "none.toml", "stats"]),
        2,
        &["none.toml"],
    );
    fs::write(folder.join("typo.toml"), "queue_tabel = 'x'").unwrap();
    fails(
        &run(folder, &["--config", "typo.toml", "stats"]),
        2,
        &["typo.toml", "queue_tabel", "queue_table"],
    );
    assert!(
        !folder.join("events.db").exists(),
        "no file was left behind"
    );
}

#[test]
fn schema_errors_are_3_and_unreachable_ones_4() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("strict.toml"), "auto_migrate = false").unwrap();
    fails(
        &run(
            folder,
            &["--config", "strict.toml", "publish", "orders", "1"],
        ),
        3,
        &["events migrate up"],
    );
    lines(&run(folder, &["migrate"]));
    lines(&run(
        folder,
        &["--config", "strict.toml", "publish", "orders", "1"],
    ));
    let database = Connection::open(folder.join("events.db")).unwrap();
    let newer = "INSERT INTO event_channels_migrations VALUES ('sqlspec_event_queue', 'ext_events_9999', 'x', 0)";
    database.execute(newer, []).unwrap();
    fails(&run(folder, &["stats"]), 3, &["ext_events_9999"]);
    fails(
        &run(folder, &["--url", "sqlite:nowhere/app.db", "stats"]),
        4,
        &["nowhere", "does not exist"],
    );
    fs::write(
        folder.join("text.db"),
        "a text that is long enough to be looked at as a database header",
    )
    .unwrap();
    fails(
        &run(folder, &["--url", "sqlite:text.db", "stats"]),
        1,
        &["text.db", "not an SQLite database"],
    );
}

#[test]
fn the_environment_is_read_and_a_flag_wins() {
    let folder = folder();
    let folder = folder.path();
    let published = command(folder, &["publish", "orders", "1"])
        .env("EVENTS_URL", "sqlite:env.db")
        .output()
        .unwrap();
    assert_eq!(lines(&published).len(), 1);
    assert!(folder.join("env.db").exists());
    let flag = command(
        folder,
        &["--url", "sqlite:flag.db", "publish", "orders", "1"],
    )
    .env("EVENTS_URL", "sqlite:env.db")
    .output()
    .unwrap();
    assert_eq!(lines(&flag).len(), 1);
    assert!(folder.join("flag.db").exists());
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
