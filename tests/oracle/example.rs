//! The example of the documentation, run as its readers run it.

use std::process::Command;

use crate::support::with_database;

/// On the queue, which it makes, and on the tables where queues are not granted.
#[test]
fn the_example_runs_as_it_is_written() {
    let test = "the_example_runs_as_it_is_written";
    with_database(test, async |database| {
        for (backend, granted) in [("aq", true), ("poll_queue", false)] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_events-test-oracle"));
            command.env("EVENTS_URL", database.url());
            match database.standin() {
                Some(server) => {
                    // Found as Oracle's client library is.
                    command.env("LD_LIBRARY_PATH", server.folder().parent().unwrap());
                    server.revoke("DBMS_AQ", !granted).unwrap();
                    server.revoke("DBMS_AQADM", !granted).unwrap();
                }
                None if granted => {}
                None => break,
            }
            let output = command.output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success(),
                "{text}{}",
                String::from_utf8_lossy(&output.stderr)
            );
            let mut lines: Vec<&str> = text.lines().collect();
            let last = lines.pop();
            assert_eq!(lines.remove(0), format!("backend {backend}"));
            lines.sort_unstable();
            let orders = [1, 2, 3].map(|order| format!("{{\"order\":{order}}}"));
            assert_eq!(lines, orders);
            assert_eq!(last, Some("dead letters 0"));
        }
        Ok(())
    });
}
