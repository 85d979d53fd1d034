//! Every example runs and prints what it promises.

use std::path::PathBuf;
use std::process::{Command, Output};

use events_testkit::Missing;
use events_testkit::postgres::database;

const TRIGGER: &str = include_str!("../../crates/event-channels/examples/postgres_trigger.sql");

/// The program, where `cargo test --workspace` puts it; a test of one package builds none.
fn program(name: &str) -> Result<PathBuf, Missing> {
    let here = std::env::current_exe().expect("a test is a file");
    let target = here.ancestors().nth(2).expect("it is in deps");
    let file = target.join("examples").join(name);
    let why = "examples are not built; run the tests of the whole workspace";
    file.is_file()
        .then_some(file)
        .ok_or_else(|| Missing::new("examples", why))
}

fn printed(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("it can be started");
    let (stdout, stderr) = [stdout, stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .into();
    assert!(status.success(), "{command:?}: {status}\n{stderr}");
    stdout
}

#[test]
fn the_examples_that_need_no_server_run() {
    for (name, expected) in [
        (
            "quick_start",
            "{\"key\":\"user:1\",\"type\":\"cache_invalidate\"}\n",
        ),
        ("blocking", "handled \"resize picture 7\"\n"),
        ("groups", "billing got \"order 1\"\nmail got \"order 1\"\n"),
        ("outbox", "{\"id\":1,\"item\":\"book\"}\n"),
        ("own_backend", "in_process brought {\"type\":\"refresh\"}\n"),
    ] {
        match program(name) {
            Ok(program) => assert_eq!(printed(&mut Command::new(program)), expected, "{name}"),
            Err(missing) => return missing.skip("the_examples_that_need_no_server_run"),
        }
    }
}

#[test]
fn the_examples_on_postgres_run() {
    let test = "the_examples_on_postgres_run";
    for (name, expected) in [
        (
            "notifications",
            "{\"key\":\"user:1\",\"type\":\"cache_invalidate\"}\n",
        ),
        ("outbox_postgres", "{\"id\":1,\"item\":\"book\"}\n"),
        ("outbox_queue", "{\"order\":1}\n{\"order\":2}\n"),
    ] {
        let (program, database) = match (program(name), database()) {
            (Ok(program), Ok(database)) => (program, database),
            (Err(missing), _) | (_, Err(missing)) => return missing.skip(test),
        };
        let mut command = Command::new(program);
        command.env("EVENTS_URL", database.url());
        assert_eq!(printed(&mut command), expected, "{name}");
        if name == "outbox_queue" {
            // The trigger publishes into the tables that the example has made.
            database.query(TRIGGER);
            database.query("INSERT INTO orders (customer, total) VALUES ('ann', 12.5)");
            let stored = database.query("SELECT payload FROM sqlspec_event_queue");
            let stored = stored[0][0].as_deref().unwrap();
            assert_eq!(stored, "{\"id\":1,\"customer\":\"ann\",\"total\":12.5}");
        }
    }
}
