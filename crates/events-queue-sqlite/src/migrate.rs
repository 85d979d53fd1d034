//! Creates, checks and removes the tables of the queue in a SQLite database.
//!
//! The tables are the truth and the ledger is a record of them: tables that were made by hand
//! from exported SQL are accepted without a row in it, and rows of tables that are gone count for
//! nothing. A table that is not ours is never changed or dropped.

mod found;

use std::fmt::Write as _;

use events_core::{Error, ErrorKind, Op, Result, TableName, Timestamp};
use events_migrations::{Dialect, Direction, LEDGER, MigrationStatus, State};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use self::found::{Found, Plan};
use crate::error::sqlite;

const DIALECT: Dialect = Dialect::Sqlite;

/// Applies what is pending, in one transaction, and returns the ids that were recorded.
///
/// Tables that were made by hand are recorded and not touched. Several processes may call this at
/// once: the first one migrates, the others wait for it as long as the busy handler says. On an
/// up-to-date database it only reads.
///
/// # Errors
/// `InvalidConfig` when a table of that name is not ours or something else was applied under an
/// id, `SchemaMissing` when some of the tables exist and some do not, `SchemaNewer` when a newer
/// version made them. Nothing is changed then.
pub fn up(conn: &mut Connection, table: &TableName, now: Timestamp) -> Result<Vec<String>> {
    let table = in_main(table)?;
    if Found::read(conn, &table)?
        .plan(&table, Direction::Up)?
        .is_nothing()
    {
        return Ok(Vec::new());
    }
    let tx = write(conn)?;
    // Another process may have migrated since.
    let plan = Found::find(&tx, &table)?.plan(&table, Direction::Up)?;
    tx.execute_batch(events_migrations::ledger_sql(DIALECT))
        .map_err(failed)?;
    run(&tx, &table, &plan)?;
    for step in &plan.steps {
        tx.execute(
            include_str!("sql/ledger_record.sql"),
            params![table.base(), step.id, step.checksum, now.as_microsecond()],
        )
        .map_err(failed)?;
    }
    tx.commit().map_err(failed)?;
    Ok(plan.ids())
}

/// Drops the tables that the ledger knows, in one transaction, and returns the ids that were
/// reverted; stored events are lost.
///
/// Tables that were made by hand and never recorded stay.
///
/// # Errors
/// `InvalidConfig` when a table of that name is not ours, `SchemaNewer` when a newer version made
/// them. Nothing is changed then.
pub fn down(conn: &mut Connection, table: &TableName) -> Result<Vec<String>> {
    let table = in_main(table)?;
    if Found::read(conn, &table)?
        .plan(&table, Direction::Down)?
        .is_nothing()
    {
        return Ok(Vec::new());
    }
    let tx = write(conn)?;
    let plan = Found::find(&tx, &table)?.plan(&table, Direction::Down)?;
    run(&tx, &table, &plan)?;
    tx.commit().map_err(failed)?;
    Ok(plan.ids())
}

/// Says how each migration stands; only reads.
///
/// Tables that were made by hand are applied at no known time.
///
/// # Errors
/// What the database says.
pub fn status(conn: &Connection, table: &TableName) -> Result<Vec<MigrationStatus>> {
    let table = in_main(table)?;
    let found = Found::read(conn, &table)?;
    let mut status = events_migrations::status(DIALECT, &found.applied);
    if found.is_hand_made() {
        for migration in &mut status {
            migration.state = State::Applied;
        }
    }
    Ok(status)
}

/// Checks that the tables are those of this build; only reads.
///
/// # Errors
/// `SchemaMissing` when [`up`] has something to do, and what `up` fails with.
pub fn check(conn: &Connection, table: &TableName) -> Result<()> {
    let checked = || {
        let table = in_main(table)?;
        let found = Found::read(conn, &table)?;
        // First, because it tells tables that are not ours from tables that are missing.
        found.plan(&table, Direction::Up)?;
        if found.is_hand_made() {
            return Ok(());
        }
        events_migrations::check(DIALECT, &table, &found.applied)
    };
    checked().map_err(|error: Error| error.during(Op::Open))
}

/// Returns what [`up`] or [`down`] would run, as SQL; empty when they would do nothing. Only reads.
///
/// Changes of the ledger are comments, because tables are good without them.
///
/// # Errors
/// What the operation would fail with.
pub fn dry_run(conn: &Connection, table: &TableName, direction: Direction) -> Result<String> {
    let table = in_main(table)?;
    let found = Found::read(conn, &table)?;
    let plan = found.plan(&table, direction)?;
    if plan.is_nothing() {
        return Ok(String::new());
    }
    let mut text = "BEGIN IMMEDIATE;\n\n".to_owned();
    if direction == Direction::Up && !found.has_ledger {
        text.push_str(events_migrations::ledger_sql(DIALECT));
        text.push('\n');
    }
    // Writing to a string cannot fail.
    if plan.forget {
        let _ = writeln!(text, "-- Table {LEDGER}: forget {table}.\n");
    }
    for step in &plan.steps {
        if !plan.adopt {
            let _ = writeln!(text, "{}", step.sql);
        }
        if direction == Direction::Up {
            let _ = writeln!(text, "-- Table {LEDGER}: record {} for {table}.\n", step.id);
        }
    }
    text.push_str("COMMIT;\n");
    Ok(text)
}

/// The table without its schema, which names it in statements and in the ledger.
fn in_main(table: &TableName) -> Result<TableName> {
    let refused = |why: &str| {
        Error::new(ErrorKind::InvalidConfig, Op::Migrate)
            .because(format!("queue table {table}: {why}"))
    };
    match table.schema() {
        Some(schema) if !schema.eq_ignore_ascii_case("main") => Err(refused(
            "on SQLite the tables of a queue are in the schema main",
        )),
        _ if table.base().eq_ignore_ascii_case(LEDGER) => {
            Err(refused("that is the name of the table of migrations"))
        }
        _ => Ok(table.without_schema()),
    }
}

/// Waits for other migrators through the busy handler.
fn write(conn: &mut Connection) -> Result<Transaction<'_>> {
    conn.transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)
}

fn run(tx: &Transaction<'_>, table: &TableName, plan: &Plan) -> Result<()> {
    if plan.forget {
        tx.execute(include_str!("sql/ledger_forget.sql"), [table.base()])
            .map_err(failed)?;
    }
    if !plan.adopt {
        for step in &plan.steps {
            tx.execute_batch(&step.sql).map_err(failed)?;
        }
    }
    Ok(())
}

fn failed(error: rusqlite::Error) -> Error {
    sqlite(Op::Migrate, error)
}

#[cfg(test)]
mod tests {
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
        conn.execute_batch(
            "CREATE TABLE app_events (event_id TEXT, channel TEXT, payload_json TEXT)",
        )
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
        let newer = "INSERT INTO event_channels_migrations VALUES ('app_events', 'ext_events_9999', 'x', 0)";
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
                    [scope.spawn(migrate), scope.spawn(migrate)]
                        .map(|thread| thread.join().unwrap())
                });
                assert_eq!(applied.concat(), [ID]);
                down(&mut open(), &table()).unwrap();
            }
        }
    }
}
