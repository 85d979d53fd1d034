//! What a claim and a verdict change of a row is written in place: its payload is not written again.

use std::time::Duration;

use events_core::{EventId, NewEvent, TableName};
use events_queue::{Claim, NewRow, Outcome, StoreSettlement, StoreVerdict};
use rusqlite::Connection;

use crate::{SqliteConfig, bell, claim, connect, insert, migrate, open, settle};

const EVENTS: usize = 60;
/// The page of its row holds a part of it at most; four more pages hold the rest.
const PAYLOAD: usize = 20_000;

/// Empties the log; answers how many pages were in it.
fn pages_written(connection: &Connection) -> i64 {
    connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
        .and_then(|pages| {
            connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .map(|()| pages)
        })
        .unwrap()
}

#[test]
fn neither_a_claim_nor_a_verdict_writes_the_payload_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig::file(folder.path().join("events.db"));
    let mut connection = connect(&config).unwrap();
    migrate::up(&mut connection, &TableName::default(), config.clock.now()).unwrap();
    let mut db = open::database(connection, &config, bell::Watch::new).unwrap();
    let rows: Vec<NewRow> = (0..EVENTS)
        .map(|_| NewRow {
            id: EventId::new(),
            keyed: false,
            parts: NewEvent::new("orders", "x".repeat(PAYLOAD))
                .into_parts(PAYLOAD + 2)
                .unwrap(),
        })
        .collect();
    db.connection.execute_batch("BEGIN").unwrap();
    insert::insert(&mut db, &rows).unwrap();
    db.connection.execute_batch("COMMIT").unwrap();
    let events = i64::try_from(EVENTS).unwrap();
    let written = pages_written(&db.connection);
    assert!(written >= 4 * events, "{written} pages hold all payloads");

    db.connection.execute_batch("BEGIN").unwrap();
    let asked = Claim {
        queue_id: 1,
        limit: EVENTS,
        suspects: true,
        lease: Duration::from_secs(30),
        max_attempts: 20,
    };
    let held = claim::claim(&mut db, &asked, &mut None).unwrap().rows;
    db.connection.execute_batch("COMMIT").unwrap();
    assert_eq!(held.len(), EVENTS);
    let written = pages_written(&db.connection);
    assert!(written < 2 * events, "a claim wrote {written} pages");

    for verdict in [
        StoreVerdict::Extend(Duration::from_secs(60)),
        StoreVerdict::Ack,
    ] {
        let settlements: Vec<StoreSettlement> = held
            .iter()
            .map(|row| StoreSettlement {
                token: row.token,
                event_id: row.event_id,
                verdict: verdict.clone(),
            })
            .collect();
        db.connection.execute_batch("BEGIN").unwrap();
        let outcomes = settle::settle(&mut db, &settlements).unwrap();
        db.connection.execute_batch("COMMIT").unwrap();
        assert!(outcomes.iter().all(|it| *it == Outcome::Recorded));
        let written = pages_written(&db.connection);
        assert!(written < 2 * events, "{verdict:?} wrote {written} pages");
    }
}
