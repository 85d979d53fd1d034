//! The commands on Oracle: on the stand-in, whose library the command finds as it finds Oracle's.

use std::process::{Output, Stdio};

use events_testkit::oracle::{Database, database};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{command, fails, folder, lines};

struct Place {
    folder: TempDir,
    database: Database,
}

impl Place {
    fn new(test: &str) -> Option<Self> {
        match database() {
            Ok(database) => Some(Self {
                folder: folder(),
                database,
            }),
            Err(missing) => {
                missing.skip(test);
                None
            }
        }
    }

    fn run(&self, backend: &str, arguments: &[&str]) -> Output {
        let file = self.folder.path().join("events.toml");
        std::fs::write(file, format!("aq_queue = {:?}", self.database.table())).unwrap();
        let table = self.database.table();
        let place = [
            "--config",
            "events.toml",
            "--backend",
            backend,
            "--table",
            table,
        ];
        let mut command = command(self.folder.path(), &[arguments, &place].concat());
        command.env("EVENTS_URL", self.database.url());
        if let Some(server) = self.database.standin() {
            command.env("LD_LIBRARY_PATH", server.folder().parent().unwrap());
        }
        command.stdin(Stdio::null()).output().unwrap()
    }

    fn counts(&self, backend: &str) -> Value {
        let line = lines(&self.run(backend, &["stats", "orders", "--json"])).remove(0);
        serde_json::from_str::<Value>(&line).unwrap()[0]["groups"][0].clone()
    }
}

#[test]
fn events_go_through_a_queue_and_through_the_tables() {
    let Some(place) = Place::new("events_go_through_a_queue_and_through_the_tables") else {
        return;
    };
    for backend in ["aq", "poll_queue"] {
        let run = |arguments: &[&str]| place.run(backend, arguments);
        let sql = lines(&run(&["migrate", "--dry-run"])).join("\n");
        assert_eq!(sql.contains("CREATE_QUEUE_TABLE"), backend == "aq", "{sql}");
        let made = ["applied ext_events_0001", "the queue is there"];
        let made = &made[..if backend == "aq" { 2 } else { 1 }];
        assert_eq!(lines(&run(&["migrate"])), made);
        lines(&run(&["publish", "orders", "1"]));
        lines(&run(&["publish", "orders", "2"]));
        assert_eq!(place.counts(backend)["ready"], json!(2), "{backend}");
        let listened = run(&["listen", "orders", "--count", "1", "--timeout", "30s"]);
        let event: Value = serde_json::from_str(&lines(&listened)[0]).unwrap();
        assert_eq!(event["payload"], json!(1));
        assert_eq!(place.counts(backend)["ready"], json!(1), "{backend}");
        assert!(lines(&run(&["stats"]))[1].starts_with("orders"));
        assert_eq!(
            lines(&run(&["migrate", "down"]))[0],
            "reverted ext_events_0001"
        );
    }
}

/// The command itself is watched too.
#[test]
fn valgrind_sees_no_invalid_access() {
    events_testkit::valgrind::sees_no_invalid_access(
        "valgrind_sees_no_invalid_access",
        &["oracle::"],
    );
}

#[test]
fn the_table_of_the_fallback_is_left_out_on_request() {
    let Some(place) = Place::new("the_table_of_the_fallback_is_left_out_on_request") else {
        return;
    };
    let alone = ["migrate", "--no-fallback-table"];
    let granted = [&alone[..], &["--grant", "producer"]].concat();
    let sql = lines(&place.run("aq", &[&granted[..], &["--dry-run"]].concat())).join("\n");
    assert!(sql.contains("grantee => 'PRODUCER'"), "{sql}");
    if place.database.standin().is_some() {
        // A server would need the user.
        assert_eq!(lines(&place.run("aq", &granted)), ["the queue is there"]);
    }
    fails(
        &place.run("aq", &[&alone[..], &["--grant", "a'b"]].concat()),
        2,
        &["a'b"],
    );
    assert_eq!(lines(&place.run("aq", &alone)), ["the queue is there"]);
    lines(&place.run("aq", &["publish", "orders", "1"]));
    fails(
        &place.run("poll_queue", &["publish", "orders", "1"]),
        3,
        &[place.database.table(), "events migrate up"],
    );
    fails(&place.run("poll_queue", &alone), 2, &["aq and txeventq"]);
    lines(&place.run("aq", &["migrate", "down", "--no-fallback-table"]));
}
