//! A process that is killed between the dequeue and the ack.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use events_oracle_standin::Server;

use crate::support::{Database, LIBRARY, ack, library, next, nothing_within, publish, subscribe};

const SERVICE: &str = "EVENTS_TEST_STANDIN_SERVICE";
const QUEUE: &str = "EVENTS_TEST_STANDIN_QUEUE";

/// Not a test by itself: the process that takes an event and is killed.
#[test]
fn worker() {
    let (Ok(service), Ok(queue)) = (std::env::var(SERVICE), std::env::var(QUEUE)) else {
        return;
    };
    let folder = library().unwrap();
    let url = format!("oracle://app:tiger@standin/{service}");
    let database = std::mem::ManuallyDrop::new(Database {
        target: events_oracle_session::Server::parse(&url).unwrap(),
        queue,
        standin: Some(Server::at(folder, &service).unwrap()),
    });
    let backend = database.open();
    let mut events = subscribe(&backend, "orders");
    let message = next(&mut events);
    writeln!(std::io::stdout(), "\nHOLDING {}", message.event_id).unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn a_process_killed_before_the_ack_gives_the_event_back() {
    let database = Database::new();
    let test = "a_process_killed_before_the_ack_gives_the_event_back";
    let Some(server) = database.faulty(test) else {
        return;
    };
    let backend = database.open();
    let id = publish(&backend, "orders", 1);
    let mut worker = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::worker", "--nocapture"])
        .env(LIBRARY, library().unwrap())
        .env(SERVICE, server.service())
        .env(QUEUE, &database.queue)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(worker.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find(|line| line.starts_with("HOLDING"));
    assert_eq!(said, Some(format!("HOLDING {id}")));
    let mut events = subscribe(&backend, "orders");
    nothing_within(&mut events, Duration::from_millis(100));
    worker.kill().unwrap();
    worker.wait().unwrap();
    let message = next(&mut events);
    assert_eq!(message.event_id, id);
    ack(&backend, &message);
    nothing_within(&mut events, Duration::from_millis(100));
}
