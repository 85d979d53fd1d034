//! The same commands on PostgreSQL.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use event_channels::postgres::tokio_postgres::{self, NoTls};
use events_testkit::postgres::{Database, database};
use events_testkit::proxy::{Direction, FaultProxy, Flow, Upstream};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::{fails, folder, lines, run, run_with, start, text};

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

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn arguments<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        let server = ["--url", self.database.url(), "--backend", "poll_queue"];
        [arguments, &server].concat()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        run(self.folder(), &self.arguments(arguments))
    }
}

#[test]
fn events_go_through_once_the_tables_are_made() {
    let Some(place) = Place::new("events_go_through_once_the_tables_are_made") else {
        return;
    };
    fails(
        &place.run(&["publish", "orders", "1"]),
        3,
        &["sqlspec_event_queue", "events migrate up"],
    );
    let sql = lines(&place.run(&["migrate", "--dry-run"])).join("\n");
    assert!(
        sql.contains("CREATE TABLE \"sqlspec_event_queue\""),
        "{sql}"
    );
    assert_eq!(lines(&place.run(&["migrate"])), ["applied ext_events_0001"]);
    assert_eq!(lines(&place.run(&["migrate"])), ["nothing to do"]);
    let status = lines(&place.run(&["migrate", "status"]));
    assert!(
        status[0].starts_with("ext_events_0001  applied"),
        "{status:?}"
    );
    let input: String = (0..300).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let publish = place.arguments(&["publish", "orders"]);
    let ids = lines(&run_with(place.folder(), &publish, &input));
    let events = lines(&place.run(&["listen", "orders", "--count", "300"]));
    let of = |line: &String| -> (u64, String) {
        let event: Value = serde_json::from_str(line).unwrap();
        let id = event["event_id"].as_str().unwrap().to_owned();
        (event["payload"]["n"].as_u64().unwrap(), id)
    };
    let mut received: Vec<_> = events.iter().map(of).collect();
    received.sort_unstable();
    assert!((0..300).zip(ids).eq(received));
    let stats = lines(&place.run(&["stats", "orders", "--json"])).concat();
    let stats: Value = serde_json::from_str(&stats).unwrap();
    let group = &stats[0]["groups"][0];
    assert_eq!((&group["acked"], &group["ready"]), (&300.into(), &0.into()));
    assert_eq!(
        lines(&place.run(&["migrate", "down"])),
        ["reverted ext_events_0001"]
    );
}

#[test]
fn a_server_that_cannot_be_used_is_named_without_its_password() {
    let Some(place) = Place::new("a_server_that_cannot_be_used_is_named_without_its_password")
    else {
        return;
    };
    let url = place.database.url();
    let with = |from: &str, to: &str| url.replace(from, to);
    let server = url
        .split(['@', '/'])
        .find(|part| part.contains(':') && !part.ends_with(':'));
    let server = server.unwrap();
    let wrong = with("postgres@", "nobody:canary@");
    let dead = with(server, "127.0.0.1:1").replace("postgres@", "u:canary@");
    let tls = format!("{url}?sslmode=require");
    let elsewhere = with("/test_", "/nowhere_");
    let cases: [(&str, i32, &[&str]); 4] = [
        (&wrong, 4, &["nobody"]),
        (&dead, 4, &["127.0.0.1:1"]),
        (&tls, 4, &["ssl"]),
        (&elsewhere, 4, &["create the database"]),
    ];
    for (url, code, hints) in cases {
        for backend in ["poll_queue", "notify"] {
            let arguments = ["publish", "orders", "1", "--url", url, "--backend", backend];
            let output = run(place.folder(), &arguments);
            fails(&output, code, hints);
            assert!(!text(&output.stderr).contains("canary"));
        }
    }
}

/// Its event is committed and it is killed before it knows: publishing the id again stores nothing.
#[test]
fn a_publisher_that_is_killed_between_commit_and_answer_may_publish_the_id_again() {
    let test = "a_publisher_that_is_killed_between_commit_and_answer_may_publish_the_id_again";
    let Some(place) = Place::new(test) else {
        return;
    };
    place.run(&["migrate"]);
    // The commit waits for a gate, so that its answer can be held back.
    place.database.query(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END $$;
         CREATE TRIGGER wait BEFORE INSERT ON sqlspec_event_queue FOR EACH ROW EXECUTE FUNCTION wait()",
    );
    let runtime = Runtime::new().unwrap();
    let address = place.database.url().rsplit_once('@').unwrap().1;
    let address = address.split('/').next().unwrap().parse().unwrap();
    let proxy = runtime.block_on(FaultProxy::start(Upstream::Tcp(address)));
    let proxy = proxy.unwrap();
    let gate = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(place.database.url(), NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        client
            .query("SELECT pg_advisory_lock(42)", &[])
            .await
            .unwrap();
        client
    });
    let id = "0190b3c8000070008000000000000001";
    let publish = ["publish", "orders", "1", "--event-id", id];
    let through = proxy.url(place.database.url());
    let through = ["--url", &through, "--backend", "poll_queue"];
    let mut killed = start(place.folder(), &[&publish[..], &through[..]].concat());
    until(
        &place,
        "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database AS d ON d.oid = database
          WHERE d.datname = current_database() AND locktype = 'advisory' AND NOT granted)",
    );
    proxy.set(Direction::ToClient, Flow::Hold);
    drop(gate);
    until(&place, "SELECT EXISTS (SELECT FROM sqlspec_event_queue)");
    killed.kill().unwrap();
    killed.wait().unwrap();
    let again = place.run(&publish);
    assert_eq!(lines(&again), [id]);
    let stored = place
        .database
        .query("SELECT count(*) FROM sqlspec_event_queue");
    assert_eq!(stored[0][0].as_deref(), Some("1"));
}

fn until(place: &Place, sql: &str) {
    let begun = Instant::now();
    while place.database.query(sql)[0][0].as_deref() != Some("t") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{sql}");
        std::thread::sleep(Duration::from_millis(5)); // the server is asked again
    }
}
