//! What only a server can answer about the queue table. Each test prints its answer; it fails where
//! the answer breaks what the code relies on.

use event_channels::migrations::Direction;
use events_testkit::oracle::session;

use crate::support::{config, with_server};

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
