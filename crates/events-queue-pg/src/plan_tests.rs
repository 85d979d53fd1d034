//! The plans of the statements that run for each publish, claim, verdict and clean-up, on tables
//! that are large, and on tables whose statistics say that they are empty.

use events_core::TableName;
use events_testkit::postgres::{Database, database};

use crate::sql::Statements;

fn prepared() -> Option<Database> {
    let database = match database() {
        Ok(database) => database,
        Err(missing) => {
            missing.skip("plan_tests");
            return None;
        }
    };
    for migration in events_migrations::all(events_migrations::Dialect::Postgres) {
        database.query(migration.up);
    }
    Some(database)
}

/// The generic plan of a statement, made with our settings.
fn plan(database: &Database, name: &str, sql: &str) -> String {
    let parameters = (1..=11)
        .rev()
        .find(|n| sql.contains(&format!("${n}")))
        .unwrap_or(0);
    let nulls = vec!["NULL"; parameters].join(", ");
    let call = if parameters == 0 {
        name.to_owned()
    } else {
        format!("{name}({nulls})")
    };
    let settings = Statements::new(&TableName::default()).settings;
    let rows = database.query(&format!(
        "{settings}; PREPARE {name} AS {sql}; EXPLAIN EXECUTE {call}"
    ));
    let lines = rows.into_iter().filter_map(|mut row| row.remove(0));
    lines.collect::<Vec<_>>().join("\n")
}

/// Each statement with the indexes that it must use. Other tables than `_queue` are never scanned
/// and nothing is sorted.
fn expected(sql: &Statements) -> Vec<(&'static str, &str, &'static [&'static str])> {
    const CLAIM: &str = "Index Scan using idx_sqlspec_event_queue_claim";
    vec![
        (
            "claim",
            &sql.claim,
            &[CLAIM, "Tid Scan on sqlspec_event_queue"],
        ),
        (
            "claim_alone",
            &sql.claim_alone,
            &[CLAIM, "Tid Scan on sqlspec_event_queue"],
        ),
        ("look", &sql.look, &[CLAIM]),
        (
            "levels",
            &sql.levels,
            &["using idx_sqlspec_event_queue_claim"],
        ),
        (
            "outlook",
            &sql.outlook,
            &[
                "using idx_sqlspec_event_queue_delayed",
                "using idx_sqlspec_event_queue_expiry",
                "using idx_sqlspec_event_queue_due_expiry",
            ],
        ),
        (
            "promote",
            &sql.promote,
            &["Index Scan using idx_sqlspec_event_queue_delayed"],
        ),
        (
            "ack_delete",
            &sql.ack_delete,
            &[CLAIM, "Tid Scan on sqlspec_event_queue"],
        ),
        (
            "ack_keep",
            &sql.ack_keep,
            &[CLAIM, "Tid Scan on sqlspec_event_queue"],
        ),
        (
            "extend",
            &sql.extend,
            &[CLAIM, "Tid Scan on sqlspec_event_queue"],
        ),
        (
            "release",
            &sql.release,
            &[CLAIM, "Tid Scan on sqlspec_event_queue"],
        ),
        (
            "retry",
            &sql.retry,
            &[CLAIM, "Tid Scan on sqlspec_event_queue"],
        ),
        (
            "retry_later",
            &sql.retry_later,
            &[CLAIM, "Tid Scan on sqlspec_event_queue"],
        ),
        (
            "bury",
            &sql.bury,
            &[CLAIM, "Tid Scan on sqlspec_event_queue"],
        ),
        (
            "bury_exhausted",
            &sql.bury_exhausted,
            &[CLAIM, "Tid Scan on sqlspec_event_queue"],
        ),
        (
            "bury_expired",
            &sql.bury_expired,
            &[
                "using idx_sqlspec_event_queue_expiry",
                "using idx_sqlspec_event_queue_due_expiry",
            ],
        ),
        (
            "purge_acked",
            &sql.purge_acked,
            &["using idx_sqlspec_event_queue_done"],
        ),
        (
            "purge_keys",
            &sql.purge_keys,
            &["using idx_sqlspec_event_queue_key_expiry"],
        ),
        (
            "purge_expired",
            &sql.purge_expired,
            &["using idx_sqlspec_event_queue_expired"],
        ),
        (
            "stats",
            &sql.stats,
            &[
                "Index Only Scan using idx_sqlspec_event_queue_done",
                "using idx_sqlspec_event_queue_delayed",
                "using idx_sqlspec_event_queue_dead",
                CLAIM,
            ],
        ),
        (
            "dead_letters",
            &sql.dead_letters,
            &["using idx_sqlspec_event_queue_dead on"],
        ),
        (
            "dead_queues",
            &sql.dead_queues,
            &["using idx_sqlspec_event_queue_dead on"],
        ),
        (
            "dead_page",
            &sql.dead_page,
            &["using idx_sqlspec_event_queue_dead on"],
        ),
        (
            "dead_named",
            &sql.dead_named,
            &["using idx_sqlspec_event_queue_dead_event"],
        ),
        (
            "requeue",
            &sql.requeue,
            &[
                "using idx_sqlspec_event_queue_dead on",
                "Tid Scan on sqlspec_event_queue_dead",
            ],
        ),
        (
            "purge_dead",
            &sql.purge_dead,
            &[
                "using idx_sqlspec_event_queue_dead on",
                "Tid Scan on sqlspec_event_queue_dead",
            ],
        ),
        (
            "insert_any",
            &sql.insert_any,
            &["using idx_sqlspec_event_queue_queue"],
        ),
        (
            "insert",
            &sql.insert,
            &["using idx_sqlspec_event_queue_queue"],
        ),
        (
            "insert_batch",
            &sql.insert_batch,
            &["using idx_sqlspec_event_queue_queue"],
        ),
        (
            "insert_one",
            &sql.insert_one,
            &["using idx_sqlspec_event_queue_queue"],
        ),
        (
            "wake",
            &sql.wake,
            &["using sqlspec_event_queue_waiter_pkey"],
        ),
    ]
}

fn check(database: &Database, state: &str) {
    let sql = Statements::new(&TableName::default());
    for (name, text, parts) in expected(&sql) {
        let plan = plan(database, name, text);
        for table in ["", "_delayed", "_done", "_dead", "_key"] {
            let scan = format!("Seq Scan on sqlspec_event_queue{table} ");
            assert!(!plan.contains(&scan), "{state}, {name}:\n{plan}");
        }
        // An unnested array may be sorted; a table may not.
        assert!(!plan.contains("Sort Key: c."), "{state}, {name}:\n{plan}");
        assert!(!plan.contains("Bitmap"), "{state}, {name}:\n{plan}");
        for part in parts {
            assert!(
                plan.contains(part),
                "{state}, {name} does not use {part}:\n{plan}"
            );
        }
    }
}

#[test]
fn every_statement_compiles_against_the_migrated_tables() {
    let Some(database) = prepared() else { return };
    for (name, text) in Statements::new(&TableName::default()).all() {
        database.query(&format!("PREPARE {name} AS {text}"));
    }
}

#[test]
fn plans_are_the_same_on_new_vacuumed_and_large_tables() {
    let Some(database) = prepared() else { return };
    check(&database, "new");
    database.query("VACUUM ANALYZE");
    check(&database, "empty");
    database.query(
        "INSERT INTO sqlspec_event_queue (queue_id, state, lease_expires_at, event_id, payload)
         SELECT n % 3, n % 2, now() + interval '1 h', gen_random_uuid(), '1' FROM generate_series(1, 200000) AS n;
         INSERT INTO sqlspec_event_queue_delayed (queue_id, due_at, priority, event_id, payload)
         SELECT n % 3, now() + n * interval '1 s', 0, gen_random_uuid(), '1' FROM generate_series(1, 100000) AS n;
         INSERT INTO sqlspec_event_queue_done (queue_id, id, priority, attempts, created_at, event_id, payload)
         SELECT n % 3, n, 0, 1, now(), gen_random_uuid(), '1' FROM generate_series(1, 100000) AS n;
         INSERT INTO sqlspec_event_queue_dead
                (queue_id, priority, attempts, lease_token, requeues, keyed, reason, created_at, event_id, payload)
         SELECT n % 3, 0, 1, 0, 0, false, 'rejected', now(), gen_random_uuid(), '1' FROM generate_series(1, 100000) AS n",
    );
    check(&database, "large");
    database.query("ANALYZE");
    check(&database, "large and analysed");
}

/// The buffers that a claim of 100 events touches, read from what it did.
fn claim_buffers(database: &Database, after: i64) -> u64 {
    let sql = Statements::new(&TableName::default());
    let rows = database.query(&format!(
        "{}; PREPARE claim AS {}; BEGIN;
         EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) EXECUTE claim
             (1, '{{-2147483648,0}}', '{{0,{after}}}', '{{-1,2147483647}}',
              '{{9223372036854775807,9223372036854775807}}', 100, 30000000, true, true)",
        sql.settings, sql.claim
    ));
    let line = rows
        .into_iter()
        .filter_map(|mut row| row.remove(0))
        .find(|line| line.contains("Buffers: shared"))
        .expect("the claim touches something");
    line.split(|c: char| !c.is_ascii_digit())
        .filter_map(|n| n.parse::<u64>().ok())
        .sum()
}

/// What is leased, delayed, finished or dead but not vacuumed costs a claim behind it nothing.
#[test]
fn a_claim_reads_no_more_behind_a_pile_than_without_one() {
    let Some(database) = prepared() else { return };
    let ready = "INSERT INTO sqlspec_event_queue (queue_id, event_id, payload)
                 SELECT 1, gen_random_uuid(), '1' FROM generate_series(1, 1000)";
    database.query(ready);
    let without = claim_buffers(&database, 0);
    database.query(
        "TRUNCATE sqlspec_event_queue; ALTER TABLE sqlspec_event_queue SET (autovacuum_enabled = off);
         INSERT INTO sqlspec_event_queue (queue_id, state, lease_expires_at, event_id, payload)
         SELECT 1, 1, now() + interval '1 h', gen_random_uuid(), '1' FROM generate_series(1, 200000);
         DELETE FROM sqlspec_event_queue WHERE id % 2 = 0",
    );
    database.query(ready);
    let last = database.query("SELECT max(id) - 1000 FROM sqlspec_event_queue");
    let frontier: i64 = last[0][0].as_deref().unwrap_or_default().parse().unwrap();
    let with = claim_buffers(&database, frontier);
    assert!(
        with <= without * 3 / 2,
        "{with} buffers, without the pile {without}"
    );
    let from_the_begin = claim_buffers(&database, 0);
    assert!(
        from_the_begin > with * 10,
        "the pile is one: {from_the_begin} and {with}"
    );
}
