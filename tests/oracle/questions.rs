//! What only a server can answer about the queue table. Each test prints its answer; it fails where
//! the answer breaks what the code relies on.

use event_channels::migrations::Direction;
use event_channels::{NewEvent, Op};
use events_testkit::oracle::session;

use crate::support::{config, with_database, with_server};

#[expect(clippy::print_stdout, reason = "the answer is the purpose of the test")]
fn answer(question: &str, answer: impl std::fmt::Display) {
    println!("answer: {question}: {answer}");
}

/// Whether the edition has a column store; without one `in_memory` must change nothing.
#[test]
fn does_the_server_take_inmemory() {
    with_server("does_the_server_take_inmemory", async |database| {
        let config = config(database).in_memory(true);
        config.migrate_up().await?;
        let session = session(database)?;
        let sql = "SELECT inmemory FROM user_tables WHERE table_name = :1";
        let kept: Option<String> = session
            .connection()
            .query_row_as(sql, &[&database.table().to_ascii_uppercase()])
            .unwrap();
        answer("INMEMORY PRIORITY HIGH", kept.unwrap_or_default());
        config.open().await?.shutdown().await.map(drop)
    });
}

/// Whether the check of payloads takes a BLOB without FORMAT JSON, and scalars.
#[test]
fn does_is_json_take_a_blob_and_a_scalar() {
    with_server("does_is_json_take_a_blob_and_a_scalar", async |database| {
        let channel = config(database).open().await?;
        channel.publish("orders", "a scalar").await?;
        channel
            .publish("orders", serde_json::json!({"an": "object"}))
            .await?;
        answer("IS JSON on BLOB", session(database)?.version());
        channel.shutdown().await.map(drop)
    });
}

/// Whether a server before 21c takes the check, where nothing relies on it yet.
#[test]
fn does_is_json_on_a_blob_need_format_json() {
    with_server(
        "does_is_json_on_a_blob_need_format_json",
        async |database| {
            let session = session(database)?;
            let run = |sql: &str| session.connection().execute(sql, &[]).map(drop);
            let table = format!("{}_Q", database.table().to_ascii_uppercase());
            let json = r#"UTL_RAW.CAST_TO_RAW('{"an": "object"}')"#;
            let mut answers = Vec::new();
            for check in ["p IS JSON", "p FORMAT JSON IS JSON"] {
                let taken = run(&format!("CREATE TABLE {table} (p BLOB CHECK ({check}))"))
                    .and_then(|()| run(&format!("INSERT INTO {table} (p) VALUES ({json})")));
                let taken = taken.map_or_else(|error| error.to_string(), |()| "taken".to_owned());
                answers.push(format!("{check}: {taken}"));
                let _ = run(&format!("DROP TABLE {table} PURGE"));
            }
            answer(&format!("on {}", session.version()), answers.join("; "));
            assert!(!session.version().has_json() || answers[0].ends_with("taken"));
            Ok(())
        },
    );
}

/// Whether a query that locks leaves those rows alone that it does not fetch.
#[test]
fn does_a_claim_lock_only_what_it_fetches() {
    with_database("does_a_claim_lock_only_what_it_fetches", async |database| {
        let channel = config(database).open().await?;
        channel
            .publish_many((0..5).map(|n| NewEvent::new("orders", n)))
            .await?;
        let table = database.table().to_ascii_uppercase();
        let sql = format!(
            "/* events.table.due */\nSELECT id, attempts FROM \"{table}\" WHERE status = 0 ORDER BY priority, id FOR UPDATE SKIP LOCKED"
        );
        let sessions = [session(database)?, session(database)?];
        let lock = |session: usize, limit| {
            sessions[session].query_locked(Op::Admin, &sql, &[], limit, |row| row.get::<_, i64>(0))
        };
        let first = lock(0, 1)?;
        let others = lock(1, 100)?;
        answer("rows left beside one that was fetched", others.len());
        assert_eq!((first.len(), others.len()), (1, 4));
        assert!(!others.contains(&first[0]));
        drop(sessions);
        channel.shutdown().await.map(drop)
    });
}

/// In which state a row is locked that changed after the cursor was opened. Whatever it is, every
/// change repeats its condition.
#[test]
fn does_a_cursor_lock_a_row_in_its_old_state() {
    with_server(
        "does_a_cursor_lock_a_row_in_its_old_state",
        async |database| {
            let channel = config(database).open().await?;
            channel.publish("orders", 1).await?;
            let table = database.table().to_ascii_uppercase();
            let sql = format!(
                "SELECT id, status FROM \"{table}\" WHERE status = 0 FOR UPDATE SKIP LOCKED"
            );
            let looking = session(database)?;
            let mut statement = looking
                .connection()
                .statement(&sql)
                .prefetch_rows(0)
                .fetch_array_size(1)
                .build()
                .unwrap();
            let mut rows = statement.query_as::<(i64, i64)>(&[]).unwrap();
            let mut events = channel.iter_events("orders").await?;
            let message = events_testkit::next(&mut events).await;
            channel.ack(&message).await?;
            let seen = match rows.next() {
                Some(Ok((_, status))) => format!("locked, and shown with status {status}"),
                Some(Err(error)) => error.to_string(),
                None => "passed over".to_owned(),
            };
            answer(
                "a row that was acknowledged after the cursor was opened",
                seen,
            );
            drop(rows);
            drop(events);
            channel.shutdown().await.map(drop)
        },
    );
}

/// Whether a table that is dropped and made again in one session is seen at once.
#[test]
fn are_the_blocks_re_runnable() {
    with_server("are_the_blocks_re_runnable", async |database| {
        let config = config(database);
        let up = config.migrate_dry_run(Direction::Up).await?;
        let session = session(database)?;
        for _ in 0..2 {
            for block in up.split("\n/\n").filter(|block| block.contains("BEGIN")) {
                session.connection().execute(block, &[]).unwrap();
            }
        }
        answer("blocks run twice", "accepted");
        config.open().await?.shutdown().await.map(drop)
    });
}
