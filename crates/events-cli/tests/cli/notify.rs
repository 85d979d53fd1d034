//! Notifications on PostgreSQL: past a pooler, and what is said when it does not work.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use events_testkit::postgres::{Pooler, Server, ServerOptions};
use serde_json::Value;

use crate::support::{command, fails, folder, lines, run};

fn both(test: &str) -> Option<(Server, Pooler)> {
    let start = || {
        let server = Server::start(&ServerOptions::new())?;
        let pooler = Pooler::before(&server)?;
        Ok((server, pooler))
    };
    start()
        .map_err(|missing: events_testkit::Missing| missing.skip(test))
        .ok()
}

#[test]
fn listening_through_a_pooler_needs_a_direct_url() {
    let Some((server, pooler)) = both("listening_through_a_pooler_needs_a_direct_url") else {
        return;
    };
    let folder = folder();
    let (through, direct) = (pooler.url("postgres"), server.url("postgres"));
    let listen = ["listen", "Orders", "--backend", "notify", "--url", &through];
    fails(&run(folder.path(), &listen), 4, &["direct_url"]);

    let listen = [&listen[..], &["--count", "1", "--direct-url", &direct]].concat();
    let mut listening = command(folder.path(), &listen)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(listening.stdout.take().unwrap());
    // It says nothing when it is live, so events are published until it prints one.
    let printed = std::thread::spawn(move || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line
    });
    let publish = [
        "publish",
        "Orders",
        "7",
        "--backend",
        "notify",
        "--url",
        &through,
    ];
    let mut ids = Vec::new();
    while !printed.is_finished() {
        ids.extend(lines(&run(folder.path(), &publish)));
        assert!(ids.len() < 10_000, "nothing arrives");
    }
    let event: Value = serde_json::from_str(&printed.join().unwrap()).unwrap();
    assert_eq!(event["payload"], 7);
    let id = event["event_id"].as_str().unwrap();
    assert!(ids.iter().any(|published| published == id));
    assert!(listening.wait().unwrap().success());
}

#[test]
fn who_is_not_let_in_is_told_why_and_no_password_is_shown() {
    let test = "who_is_not_let_in_is_told_why_and_no_password_is_shown";
    let options = ServerOptions::new().access("host all app all scram-sha-256");
    let server = match Server::start(&options) {
        Ok(server) => server,
        Err(missing) => return missing.skip(test),
    };
    server.query("CREATE ROLE app LOGIN PASSWORD 'right'");
    let folder = folder();
    let port = server.port();
    for (url, hint) in [
        (
            format!("postgres://app:canary@127.0.0.1:{port}/postgres"),
            "password",
        ),
        (
            format!("postgres://app:canary@127.0.0.1:{port}/postgres?sslmode=require"),
            "sslmode=disable",
        ),
        (
            "postgres://app:canary@127.0.0.1:1/postgres".to_owned(),
            "127.0.0.1:1",
        ),
    ] {
        let publish = [
            "publish",
            "orders",
            "\"canary\"",
            "--backend",
            "notify",
            "-v",
        ];
        let output = command(folder.path(), &publish)
            .env("EVENTS_URL", &url)
            .env("RUST_LOG", "trace")
            .output()
            .unwrap();
        fails(&output, 4, &[hint]);
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(!shown.contains("canary"), "{shown}");
    }
}
