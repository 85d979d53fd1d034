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
fn a_session_that_is_ended_with_a_number_looks_alive_to_the_client() {
    let server = server("ended");
    for code in [28, 1012, 2396] {
        let connection = connect(&server);
        let plan = Plan::at("FROM dual").kill().code(code);
        // The driver itself knows these numbers, unless another stands before them.
        server.plan(plan.inside(604)).unwrap();
        let error = connection.query_row_as::<i64>(ONE, &[]).unwrap_err();
        assert!(
            error.to_string().contains(&format!("ORA-{code:05}")),
            "{error}"
        );
        assert_eq!(connection.status().unwrap(), oracle::ConnStatus::Normal);
        assert_eq!(server.sessions().unwrap(), 0);
        let error = connection.query_row_as::<i64>(ONE, &[]).unwrap_err();
        assert!(error.to_string().contains("ORA-01012"), "{error}");
    }
}

#[test]
fn an_error_about_values_quotes_them_and_another_does_not() {
    let server = server("quoted");
    let connection = connect(&server);
    for (code, quoted) in [(1, true), (1653, false)] {
        server.plan(Plan::at("FROM dual").code(code)).unwrap();
        let asked = connection.query_row_as::<String>("SELECT :a FROM dual", &[&"canary"]);
        let said = asked.unwrap_err().to_string();
        assert_eq!(said.contains("canary"), quoted, "{said}");
    }
}

#[test]
fn a_silent_listener_is_waited_for() {
    let server = server("waited_for");
    server.silent(true).unwrap();
    let other = server.clone();
    let connecting = thread::spawn(move || connect(&other).ping());
    thread::sleep(Duration::from_millis(20)); // nothing tells that it waits
    assert!(!connecting.is_finished());
    server.silent(false).unwrap();
    connecting.join().unwrap().unwrap();

    server.silent(true).unwrap();
    let target = format!(
        "(DESCRIPTION=(CONNECT_TIMEOUT=1)(ADDRESS=(PROTOCOL=TCP)(HOST=standin)(PORT=1521))\
         (CONNECT_DATA=(SERVICE_NAME={})))",
        server.service()
    );
    let error = oracle::Connection::connect("scott", "tiger", target).unwrap_err();
    assert_eq!(error.oci_code(), Some(12170), "{error}");
}

#[test]
fn a_block_that_fails_leaves_nothing_and_what_came_before_stays() {
    let connection = connect(&server("undone"));
    let run = |block: &str| connection.execute(block, &[]).map(drop);
    run(
        "BEGIN DBMS_AQADM.CREATE_QUEUE_TABLE(queue_table => 'T', queue_payload_type => 'JSON');
         DBMS_AQADM.CREATE_QUEUE(queue_name => 'Q', queue_table => 'T');
         DBMS_AQADM.START_QUEUE(queue_name => 'Q'); END;",
    )
    .unwrap();
    let enqueue = |queues: &[&str]| {
        let calls: String = queues
            .iter()
            .map(|queue| {
                format!(
                    "DBMS_AQ.ENQUEUE(queue_name => '{queue}', enqueue_options => v_opts,
                     message_properties => v_props, payload => v_doc, msgid => v_msgid);"
                )
            })
            .collect();
        run(&format!(
            "DECLARE v_opts DBMS_AQ.ENQUEUE_OPTIONS_T; v_props DBMS_AQ.MESSAGE_PROPERTIES_T;
                     v_doc JSON; v_msgid RAW(16);
             BEGIN v_doc := JSON('1'); v_props.delay := 0; v_props.expiration := -1; {calls} END;"
        ))
    };
    let dequeue = || {
        let block = "DECLARE v_opts DBMS_AQ.DEQUEUE_OPTIONS_T; v_doc JSON; v_msgid RAW(16);
                             v_props DBMS_AQ.MESSAGE_PROPERTIES_T;
                     BEGIN v_opts.wait := 0;
                     DBMS_AQ.DEQUEUE(queue_name => 'Q', dequeue_options => v_opts,
                     message_properties => v_props, payload => v_doc, msgid => v_msgid); END;";
        connection.execute(block, &[]).map(drop)
    };
    enqueue(&["Q"]).unwrap();
    let error = enqueue(&["Q", "Q", "NOWHERE"]).unwrap_err();
    assert_eq!(error.oci_code(), Some(24010), "{error}");
    connection.commit().unwrap();
    dequeue().unwrap();
    assert_eq!(dequeue().unwrap_err().oci_code(), Some(25228));
}

#[test]
fn a_queue_that_exists_is_told_by_its_table() {
    let connection = connect(&server("twice"));
    let block = "BEGIN DBMS_AQADM.CREATE_TRANSACTIONAL_EVENT_QUEUE(queue_name => 'Q',
                 queue_payload_type => 'JSON'); END;";
    connection.execute(block, &[]).unwrap();
    let error = connection.execute(block, &[]).unwrap_err();
    assert_eq!(error.oci_code(), Some(24001), "{error}");
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
