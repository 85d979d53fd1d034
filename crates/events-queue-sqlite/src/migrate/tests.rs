//! Migrations applied, reverted, refused and looked at, on databases of their own.

use std::sync::Barrier;
use std::thread;

use super::*;

const ID: &str = "ext_events_0001";

fn memory() -> Connection {
    Connection::open_in_memory().unwrap()
}

fn table() -> TableName {
    TableName::new("app_events").unwrap()
}

fn now() -> Timestamp {
    "2025-01-02T03:04:05.000006Z".parse().unwrap()
}

/// Makes the tables as a user of another migration tool does.
fn make_by_hand(conn: &Connection, table: &TableName) {
    for migration in events_migrations::all(DIALECT) {
        conn.execute_batch(&table.render(migration.up)).unwrap();
    }
}

/// SQLSpec's table of the same name.
fn make_foreign(conn: &Connection) {
    conn.execute_batch("CREATE TABLE app_events (event_id TEXT, channel TEXT, payload_json TEXT)")
        .unwrap();
}

/// Everything in the catalogue.
fn catalogue(conn: &Connection) -> Vec<String> {
    let mut statement = conn
        .prepare("SELECT name FROM sqlite_schema ORDER BY 1")
        .unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.collect::<Result<_, _>>().unwrap()
}

fn states(conn: &Connection) -> Vec<State> {
    let status = status(conn, &table()).unwrap();
    status
        .into_iter()
        .map(|migration| migration.state)
        .collect()
}

#[test]
fn up_once_then_nothing_then_down() {
    let mut conn = memory();
    assert_eq!(up(&mut conn, &table(), now()).unwrap(), [ID]);
    check(&conn, &table()).unwrap();
    let status = status(&conn, &table()).unwrap();
    assert_eq!(status[0].state, State::Applied);
    assert_eq!(status[0].applied_at, Some(now()));
    assert!(up(&mut conn, &table(), now()).unwrap().is_empty());

    assert_eq!(down(&mut conn, &table()).unwrap(), [ID]);
    assert_eq!(catalogue(&conn), [LEDGER]);
    let rows = "SELECT count(*) FROM event_channels_migrations";
    assert_eq!(
        conn.query_row(rows, [], |row| row.get::<_, i64>(0))
            .unwrap(),
        0
    );
    assert!(down(&mut conn, &table()).unwrap().is_empty());
    assert_eq!(up(&mut conn, &table(), now()).unwrap(), [ID]);
}

#[test]
fn an_empty_database_is_read_and_not_changed() {
    let mut conn = memory();
    assert_eq!(states(&conn), [State::Pending]);
    let error = check(&conn, &table()).unwrap_err();
    assert_eq!(
        (error.kind(), error.op()),
        (ErrorKind::SchemaMissing, Op::Open)
    );
    assert!(
        error
            .to_string()
            .contains("`events migrate up --table app_events`"),
        "{error}"
    );
    assert!(down(&mut conn, &table()).unwrap().is_empty());
    assert!(catalogue(&conn).is_empty());
}

#[test]
fn two_queue_tables_do_not_know_each_other() {
    let mut conn = memory();
    let other = TableName::new("main.other").unwrap();
    up(&mut conn, &table(), now()).unwrap();
    assert_eq!(up(&mut conn, &other, now()).unwrap(), [ID]);
    down(&mut conn, &table()).unwrap();
    check(&conn, &other).unwrap();
    assert_eq!(states(&conn), [State::Pending]);
}

#[test]
fn names_have_no_case() {
    let mut conn = memory();
    up(&mut conn, &TableName::new("App_Events").unwrap(), now()).unwrap();
    assert!(up(&mut conn, &table(), now()).unwrap().is_empty());
    assert_eq!(down(&mut conn, &table()).unwrap(), [ID]);
    assert_eq!(catalogue(&conn), [LEDGER]);
}

#[test]
fn other_schemas_and_the_ledger_are_no_queue_tables() {
    for name in ["aux.app_events", "Event_Channels_Migrations"] {
        let error = up(&mut memory(), &TableName::new(name).unwrap(), now()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn hand_made_tables_are_accepted_and_adopted() {
    let mut conn = memory();
    make_by_hand(&conn, &table());
    conn.execute_batch("INSERT INTO app_events_queue (channel, created_at) VALUES ('a', 0)")
        .unwrap();
    check(&conn, &table()).unwrap();
    assert_eq!(states(&conn), [State::Applied]);
    // Nobody asked the ledger about them, so nobody drops them.
    assert!(down(&mut conn, &table()).unwrap().is_empty());

    assert_eq!(up(&mut conn, &table(), now()).unwrap(), [ID]);
    assert_eq!(status(&conn, &table()).unwrap()[0].applied_at, Some(now()));
    let rows = "SELECT count(*) FROM app_events_queue";
    assert_eq!(
        conn.query_row(rows, [], |row| row.get::<_, i64>(0))
            .unwrap(),
        1
    );
}

#[test]
fn a_foreign_table_is_named_and_not_changed() {
    let mut conn = memory();
    make_foreign(&conn);
    for error in [
        up(&mut conn, &table(), now()).unwrap_err(),
        check(&conn, &table()).unwrap_err(),
        dry_run(&conn, &table(), Direction::Up).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        for part in [
            "table app_events exists",
            "queue_id, status",
            "another queue_table",
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
    assert_eq!(catalogue(&conn), ["app_events"]);
}

#[test]
fn a_foreign_table_in_place_of_ours_is_not_dropped() {
    let mut conn = memory();
    up(&mut conn, &table(), now()).unwrap();
    conn.execute_batch("DROP TABLE app_events").unwrap();
    make_foreign(&conn);
    let before = catalogue(&conn);
    let error = down(&mut conn, &table()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert_eq!(catalogue(&conn), before);
}

#[test]
fn tables_that_are_gone_are_made_again() {
    let mut conn = memory();
    up(&mut conn, &table(), now()).unwrap();
    conn.execute_batch(&table().render(events_migrations::all(DIALECT)[0].down))
        .unwrap();
    assert_eq!(states(&conn), [State::Pending]);
    assert_eq!(
        check(&conn, &table()).unwrap_err().kind(),
        ErrorKind::SchemaMissing
    );
    assert_eq!(up(&mut conn, &table(), now()).unwrap(), [ID]);
    check(&conn, &table()).unwrap();
}

#[test]
fn tables_in_part_are_an_error_that_down_ends() {
    let mut conn = memory();
    up(&mut conn, &table(), now()).unwrap();
    conn.execute_batch("DROP TABLE app_events_key").unwrap();
    for error in [
        up(&mut conn, &table(), now()).unwrap_err(),
        check(&conn, &table()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::SchemaMissing);
        assert!(
            error.to_string().contains("without app_events_key"),
            "{error}"
        );
    }
    assert_eq!(down(&mut conn, &table()).unwrap(), [ID]);
    assert_eq!(up(&mut conn, &table(), now()).unwrap(), [ID]);
}

#[test]
fn a_newer_schema_is_refused_even_without_our_tables() {
    let mut conn = memory();
    up(&mut conn, &table(), now()).unwrap();
    let newer =
        "INSERT INTO event_channels_migrations VALUES ('app_events', 'ext_events_9999', 'x', 0)";
    conn.execute_batch(newer).unwrap();
    let before = catalogue(&conn);
    for gone in [false, true] {
        if gone {
            conn.execute_batch(&table().render(events_migrations::all(DIALECT)[0].down))
                .unwrap();
        }
        for error in [
            up(&mut conn, &table(), now()).unwrap_err(),
            down(&mut conn, &table()).unwrap_err(),
            check(&conn, &table()).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::SchemaNewer);
        }
        assert!(gone || catalogue(&conn) == before);
        assert_eq!(states(&conn).last(), Some(&State::Unknown));
    }
}

#[test]
fn a_failed_up_leaves_nothing() {
    let mut conn = memory();
    // The name of an index of the migration is taken.
    let taken = "CREATE TABLE t (a); CREATE INDEX idx_app_events_key_expiry ON t (a)";
    conn.execute_batch(taken).unwrap();
    let before = catalogue(&conn);
    up(&mut conn, &table(), now()).unwrap_err();
    assert_eq!(catalogue(&conn), before);
    assert!(conn.is_autocommit());
}

#[test]
fn a_dry_run_is_sql_that_does_the_same() {
    let mut conn = memory();
    let sql = dry_run(&conn, &table(), Direction::Up).unwrap();
    assert!(catalogue(&conn).is_empty());
    assert!(
        sql.contains("record ext_events_0001 for app_events"),
        "{sql}"
    );
    conn.execute_batch(&sql).unwrap();
    check(&conn, &table()).unwrap();

    let sql = dry_run(&conn, &table(), Direction::Up).unwrap();
    assert!(sql.contains("record") && !sql.contains("CREATE"), "{sql}");
    up(&mut conn, &table(), now()).unwrap();
    assert_eq!(dry_run(&conn, &table(), Direction::Up).unwrap(), "");

    let sql = dry_run(&conn, &table(), Direction::Down).unwrap();
    conn.execute_batch(&sql).unwrap();
    assert_eq!(catalogue(&conn), [LEDGER]);
    // Now only the ledger is left to clean.
    let sql = dry_run(&conn, &table(), Direction::Down).unwrap();
    assert!(sql.contains("forget") && !sql.contains("DROP"), "{sql}");
    assert!(down(&mut conn, &table()).unwrap().is_empty());
    assert_eq!(dry_run(&conn, &table(), Direction::Down).unwrap(), "");
}

#[test]
fn a_connection_sees_what_another_one_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Connection::open(folder.path().join("app.db")).unwrap();
    let (first, mut second) = (open(), open());
    for _ in 0..2 {
        check(&first, &table()).unwrap_err();
        up(&mut second, &table(), now()).unwrap();
        check(&first, &table()).unwrap();
        down(&mut second, &table()).unwrap();
    }
}

#[test]
fn a_writer_does_not_hold_up_what_is_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Connection::open(folder.path().join("app.db")).unwrap();
    let (writer, mut conn) = (open(), open());
    up(&mut conn, &table(), now()).unwrap();
    conn.busy_timeout(std::time::Duration::ZERO).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(up(&mut conn, &table(), now()).unwrap().is_empty());
}

#[test]
fn two_at_once_migrate_once() {
    for mode in ["delete", "wal"] {
        let folder = tempfile::tempdir().unwrap();
        let open = || Connection::open(folder.path().join("app.db")).unwrap();
        open().pragma_update(None, "journal_mode", mode).unwrap();
        for _ in 0..20 {
            let start = Barrier::new(2);
            let migrate = || {
                let mut conn = open();
                start.wait();
                up(&mut conn, &table(), now()).unwrap()
            };
            let applied = thread::scope(|scope| {
                [scope.spawn(migrate), scope.spawn(migrate)].map(|thread| thread.join().unwrap())
            });
            assert_eq!(applied.concat(), [ID]);
            down(&mut open(), &table()).unwrap();
        }
    }
}
