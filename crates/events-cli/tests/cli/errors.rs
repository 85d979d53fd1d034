//! Errors and exit codes.

use std::fs;

use rusqlite::Connection;

use crate::support::{command, fails, folder, lines, run, text};

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
        &run(folder, &["--url", "oracle://h/d", "stats"]),
        2,
        &["names no user", "oracle://user"],
    );
    let prefer = ["--url", "postgres://u:canary@h/d?sslmode=prefer", "stats"];
    fails(&run(folder, &prefer), 2, &["verify-full"]);
    let secret = run(folder, &prefer);
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

/// An error says once what is wrong, and names the operation that was asked for.
#[test]
fn reasons_stand_alone() {
    let folder = folder();
    let folder = folder.path();
    for (arguments, hint) in [
        (
            &["publish", "orders", "1", "--delay", "5x"][..],
            "such as \"250ms\"",
        ),
        (
            &["listen", "orders", "--timeout", "soon"],
            "such as \"250ms\"",
        ),
        (
            &["--backend", "kafka", "stats"],
            "expected one of: poll_queue",
        ),
        (
            &["listen", "my channel"],
            "error: listen failed: invalid input",
        ),
        (
            &["listen", "orders", "--group", "a-b"],
            "error: listen failed: invalid input",
        ),
        (&["stats", "a b"], "error: admin failed: invalid input"),
    ] {
        let output = run(folder, arguments);
        fails(&output, 2, &[hint]);
        assert!(
            !text(&output.stderr).contains("configure failed"),
            "{output:?}"
        );
    }
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
