//! Query plans: every statement of the hot path and of the clean-up seeks, and sorts nothing.

mod in_place;
mod large;

use events_core::TableName;
use rusqlite::{Connection, StatementStatus, ToSql};

use crate::sql::Statements;
use crate::{SqliteConfig, connect, migrate};

fn database() -> (Connection, Statements) {
    let mut connection = connect(&SqliteConfig::memory()).unwrap();
    let table = TableName::default();
    migrate::up(&mut connection, &table, events_core::Timestamp::now()).unwrap();
    (connection, Statements::new(&table))
}

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap();
    let nothing: Vec<&dyn ToSql> = vec![&rusqlite::types::Null; statement.parameter_count()];
    let rows = statement
        .query_map(nothing.as_slice(), |row| row.get(3))
        .unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn every_statement_compiles_against_the_migrated_tables() {
    let (connection, sql) = database();
    for (name, text) in sql.all() {
        connection
            .prepare(text)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

/// The statements that run for each publish, claim, verdict and clean-up, with the index that
/// each must use.
#[test]
fn hot_statements_seek_in_their_index_and_sort_nothing() {
    let (connection, sql) = database();
    check_plans(&connection, &sql);
}

fn check_plans(connection: &Connection, sql: &Statements) {
    let by_row = "USING INTEGER PRIMARY KEY (rowid=?)";
    let expected: &[(&str, &str, &[&str])] = &[
        (
            "claim",
            &sql.claim,
            &[
                "idx_sqlspec_event_queue_claim (queue_id=? AND priority>?)",
                by_row,
            ],
        ),
        (
            "claim_alone",
            &sql.claim_alone,
            &["idx_sqlspec_event_queue_suspect (queue_id=?)", by_row],
        ),
        (
            "promote",
            &sql.promote,
            &["idx_sqlspec_event_queue_delayed (queue_id=? AND available_at<?)"],
        ),
        (
            "reclaim",
            &sql.reclaim,
            &["idx_sqlspec_event_queue_leased (queue_id=? AND lease_expires_at<?)"],
        ),
        (
            "exhausted",
            &sql.exhausted,
            &[
                "idx_sqlspec_event_queue_leased (queue_id=? AND lease_expires_at<?)",
                by_row,
            ],
        ),
        (
            "expired",
            &sql.expired,
            &["idx_sqlspec_event_queue_expiry (queue_id=? AND expires_at>? AND expires_at<?)"],
        ),
        ("ack_keep", &sql.ack_keep, &[by_row]),
        ("ack_delete", &sql.ack_delete, &[by_row]),
        ("retry", &sql.retry, &[by_row]),
        ("extend", &sql.extend, &[by_row]),
        ("release", &sql.release, &[by_row]),
        ("inspect", &sql.inspect, &[by_row]),
        ("bury", &sql.bury, &[by_row]),
        ("bury_delete", &sql.bury_delete, &[by_row]),
        (
            "purge_acked",
            &sql.purge_acked,
            &[
                "idx_sqlspec_event_queue_acked (queue_id=? AND acked_at<?)",
                by_row,
            ],
        ),
        (
            "purge_expired",
            &sql.purge_expired,
            &["idx_sqlspec_event_queue_dead_expired (died_at<?)", by_row],
        ),
        (
            "purge_keys",
            &sql.purge_keys,
            &["idx_sqlspec_event_queue_key_expiry (expires_at>? AND expires_at<?)"],
        ),
        (
            "key_settled",
            &sql.key_settled,
            &["PRIMARY KEY (event_id=?)"],
        ),
        ("insert", &sql.insert, &[]),
        ("channel_queues", &sql.channel_queues, &["(channel=?)"]),
        (
            "find_queue",
            &sql.find_queue,
            &["(channel=? AND consumer_group=?)"],
        ),
    ];
    for (name, text, parts) in expected {
        let plan = plan(connection, text);
        let steps = plan.join("\n");
        assert!(
            !plan
                .iter()
                .any(|step| step.starts_with("SCAN sqlspec") || step.starts_with("SCAN e")),
            "{name}:\n{steps}"
        );
        assert!(!steps.contains("TEMP B-TREE"), "{name}:\n{steps}");
        for part in *parts {
            assert!(steps.contains(part), "{name} does not use {part}:\n{steps}");
        }
    }
}

#[test]
fn looks_are_one_seek_in_each_index() {
    let (connection, sql) = database();
    check_looks(&connection, &sql);
}

fn check_looks(connection: &Connection, sql: &Statements) {
    let outlook = ["delayed", "leased", "expiry", "claim", "suspect"];
    let looks = [
        (&sql.outlook, &outlook[..]),
        (&sql.waiting, &["claim", "suspect", "delayed"][..]),
    ];
    for (text, indexes) in looks {
        let steps = plan(connection, text).join("\n");
        for index in indexes {
            assert!(
                steps.contains(&format!("idx_sqlspec_event_queue_{index} (queue_id=?")),
                "{steps}"
            );
        }
        assert!(
            !steps.contains("SCAN sqlspec") && !steps.contains("TEMP B-TREE"),
            "{steps}"
        );
    }
}

/// SQLite may look at bound values when it plans, and would then compile a statement again for
/// each call, which costs more than a small claim does.
#[test]
fn no_statement_is_compiled_again_for_other_values() {
    let (connection, sql) = database();
    for (name, text) in sql.all() {
        let mut statement = connection.prepare(text).unwrap();
        for value in 1..4 {
            let values: Vec<&dyn ToSql> = vec![&value; statement.parameter_count()];
            // What these values do to an empty table, and whether it accepts them, is no matter.
            let mut rows = statement.query(values.as_slice()).unwrap();
            while let Ok(Some(_)) = rows.next() {}
        }
        let again = statement.get_status(StatementStatus::RePrepare);
        assert_eq!(again, 0, "{name} was compiled again {again} times");
    }
}
