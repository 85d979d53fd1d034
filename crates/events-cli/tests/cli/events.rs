//! What is published is printed, handled and counted.

use std::fs;

use rusqlite::Connection;
use serde_json::Value;

use crate::support::{fails, folder, lines, run, run_with, stats};

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
    let output = run(folder, &failing);
    assert_eq!(lines(&output).len(), 1);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("not acknowledged") && told.contains("exit code 7"),
        "{told}"
    );
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

/// Looking leaves a database of somebody else as it was, its journal mode included.
#[test]
fn looking_at_migrations_changes_no_byte() {
    let folder = folder();
    let folder = folder.path();
    let path = folder.join("events.db");
    let database = Connection::open(&path).unwrap();
    database.execute_batch("CREATE TABLE mine (a)").unwrap();
    drop(database);
    let before = fs::read(&path).unwrap();
    lines(&run(folder, &["migrate", "status"]));
    lines(&run(folder, &["migrate", "--dry-run"]));
    lines(&run(folder, &["migrate", "down", "--dry-run"]));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
}
