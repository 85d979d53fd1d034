//! Connecting, and what ends a connection.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use events_oracle_standin::WRONG_PASSWORD;
use oracle::{ConnStatus, Connection};

use crate::support::{connect, library, server, try_connect};

#[test]
fn a_session_begins_and_ends() {
    let server = server("begins");
    let connection = connect(&server);
    let (version, banner) = connection.server_version().unwrap();
    assert_eq!(version.major(), 23);
    assert!(banner.contains("not an Oracle server"), "{banner}");
    assert_eq!(connection.status().unwrap(), ConnStatus::Normal);
    assert_eq!(server.sessions().unwrap(), 1);
    connection.close().unwrap();
    assert_eq!(server.sessions().unwrap(), 0);
}

#[test]
fn an_old_version_is_told() {
    let server = server("old");
    server.set_version(19).unwrap();
    assert_eq!(connect(&server).server_version().unwrap().0.major(), 19);
}

#[test]
fn a_wrong_password_is_refused() {
    let error = try_connect(&server("password"), WRONG_PASSWORD).unwrap_err();
    assert_eq!(error.oci_code(), Some(1017));
}

#[test]
fn an_unknown_service_and_a_silent_listener_are_refused() {
    library();
    let error = Connection::connect("scott", "tiger", "//standin/nobody").unwrap_err();
    assert_eq!(error.oci_code(), Some(12514));
    let server = server("silent");
    server.unreachable(Some(12541)).unwrap();
    let error = try_connect(&server, "tiger").unwrap_err();
    assert_eq!(error.oci_code(), Some(12541));
    server.unreachable(None).unwrap();
    connect(&server);
}

#[test]
fn another_thread_breaks_a_call_and_the_connection_goes_on() {
    let connection = Arc::new(connect(&server("broken")));
    let sleeper = Arc::clone(&connection);
    let begun = Instant::now();
    let asleep =
        thread::spawn(move || sleeper.execute("BEGIN DBMS_SESSION.SLEEP(:1); END;", &[&30]));
    // A break between calls breaks none: it is given until the call has begun.
    while !asleep.is_finished() {
        connection.break_execution().unwrap();
        thread::sleep(Duration::from_millis(5));
    }
    let error = asleep.join().unwrap().unwrap_err();
    assert_eq!(error.oci_code(), Some(1013), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(
        connection
            .query_row_as::<i64>("SELECT 1 FROM dual", &[])
            .unwrap(),
        1
    );
}

#[test]
fn a_call_timeout_ends_the_call_alone() {
    let connection = connect(&server("timeout"));
    connection
        .set_call_timeout(Some(Duration::from_millis(30)))
        .unwrap();
    let error = connection
        .execute("BEGIN DBMS_SESSION.SLEEP(:1); END;", &[&30])
        .unwrap_err();
    assert_eq!(
        (error.dpi_code(), error.oci_code()),
        (Some(1067), None),
        "{error}"
    );
    connection.set_call_timeout(None).unwrap();
    connection.ping().unwrap();
}
