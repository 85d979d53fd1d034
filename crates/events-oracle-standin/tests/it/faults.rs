//! What a test asks of a server happens, and to nobody else.

use std::thread;
use std::time::Duration;

use events_oracle_standin::Plan;

use crate::support::{connect, server};

const ONE: &str = "SELECT 1 FROM dual";

#[test]
fn the_nth_call_fails_with_the_planned_number() {
    let server = server("nth");
    let connection = connect(&server);
    server
        .plan(Plan::at("FROM dual").after(1).code(1653))
        .unwrap();
    connection.query_row_as::<i64>(ONE, &[]).unwrap();
    let error = connection.query_row_as::<i64>(ONE, &[]).unwrap_err();
    assert_eq!(error.oci_code(), Some(1653));
    connection.query_row_as::<i64>(ONE, &[]).unwrap();
    assert_eq!(server.calls("FROM dual").unwrap(), 3);
}

#[test]
fn a_killed_session_is_closed_and_another_is_not() {
    let server = server("killed");
    let connection = connect(&server);
    server.kill_sessions().unwrap();
    let other = connect(&server);
    let error = connection.query_row_as::<i64>(ONE, &[]).unwrap_err();
    assert_eq!(
        (error.dpi_code(), error.oci_code()),
        (Some(1080), None),
        "{error}"
    );
    assert!(error.to_string().contains("ORA-03113"), "{error}");
    assert!(connection.ping().is_err());
    other.ping().unwrap();
}

#[test]
fn a_waiting_session_finds_out_that_it_was_killed() {
    let server = server("killed_waiting");
    let connection = connect(&server);
    let asleep =
        thread::spawn(move || connection.execute("BEGIN DBMS_SESSION.SLEEP(:1); END;", &[&30]));
    while server.calls("SLEEP").unwrap() == 0 {
        thread::sleep(Duration::from_millis(2));
    }
    server.kill_sessions().unwrap();
    let error = asleep.join().unwrap().unwrap_err();
    assert_eq!(error.dpi_code(), Some(1080), "{error}");
}

#[test]
fn a_planned_kill_happens_before_the_work() {
    let server = server("planned_kill");
    let connection = connect(&server);
    server.plan(Plan::at("COMMIT").kill()).unwrap();
    assert_eq!(connection.commit().unwrap_err().dpi_code(), Some(1080));
}

#[test]
fn logins_are_refused_while_asked() {
    let server = server("refused");
    server.refuse_logins(Some(28000)).unwrap();
    let error = crate::support::try_connect(&server, "tiger").unwrap_err();
    assert_eq!(error.oci_code(), Some(28000));
    server.refuse_logins(None).unwrap();
    connect(&server);
}

#[test]
fn what_no_engine_knows_is_refused_loudly() {
    let connection = connect(&server("unknown"));
    let error = connection
        .execute("BEGIN DBMS_UNKNOWN.THING; END;", &[])
        .unwrap_err();
    assert_eq!(error.oci_code(), Some(900));
    assert!(error.to_string().contains("DBMS_UNKNOWN"), "{error}");
}
