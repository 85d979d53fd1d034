//! The same with large tables: plans stay as they are, and the work does not grow with the rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use events_core::{EventId, NewEvent, TableName};
use events_queue::{Claim, Clock, NewRow, Outcome, Row, StoreSettlement, StoreVerdict};

use super::{check_looks, check_plans};
use crate::database::Database;
use crate::{SqliteConfig, claim, clean_up, connect, insert, migrate, open, settle};

/// More than a turn of what is due looks at, so that both sizes have as much to do.
const FEW: u64 = 2_000;
const MANY: u64 = 120_000;
/// How many instructions of SQLite's machine pass between two counts.
const GRAIN: u64 = 10;

struct Tables {
    db: Database,
    clock: Clock,
    counted: Arc<AtomicU64>,
}

impl Tables {
    fn with(rows: u64, analyze: bool) -> Self {
        let config = SqliteConfig::memory();
        let mut connection = connect(&config).unwrap();
        let table = TableName::default();
        migrate::up(&mut connection, &table, config.clock.now()).unwrap();
        let fill = include_str!("fill.sql")
            .replace("{rows}", &rows.to_string())
            .replace("{now}", &config.clock.micros().to_string());
        connection.execute_batch(&fill).unwrap();
        if analyze {
            connection.execute_batch("ANALYZE").unwrap();
        }
        let counted = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&counted);
        let handler = move || {
            count.fetch_add(GRAIN, Ordering::Relaxed);
            false
        };
        let grain = i32::try_from(GRAIN).unwrap();
        connection.progress_handler(grain, Some(handler)).unwrap();
        Self {
            clock: config.clock.clone(),
            db: open::database(connection, &config, crate::bell::Watch::new).unwrap(),
            counted,
        }
    }

    /// The instructions that some work takes, and its answer.
    fn count<T>(&mut self, work: impl FnOnce(&mut Database) -> T) -> (u64, T) {
        let before = self.counted.load(Ordering::Relaxed);
        self.db.connection.execute_batch("BEGIN").unwrap();
        let answer = work(&mut self.db);
        self.db.connection.execute_batch("COMMIT").unwrap();
        (self.counted.load(Ordering::Relaxed) - before, answer)
    }

    fn claim(&mut self, limit: usize) -> (u64, Vec<Row>) {
        let claim = Claim {
            queue_id: 1,
            limit,
            suspects: true,
            lease: Duration::from_secs(30),
            max_attempts: 20,
        };
        let (work, claimed) = self.count(|db| claim::claim(db, &claim, &mut None).unwrap());
        (work, claimed.rows)
    }

    fn settle(&mut self, row: &Row, verdict: StoreVerdict) -> u64 {
        let settlement = StoreSettlement {
            token: row.token,
            event_id: row.event_id,
            verdict,
        };
        let (work, outcomes) = self.count(|db| settle::settle(db, &[settlement]).unwrap());
        assert_eq!(outcomes, [Outcome::Recorded]);
        work
    }

    /// Everything that happens to events in a queue like this, and the work that it took.
    fn life(&mut self) -> Vec<(&'static str, u64)> {
        let row = NewRow {
            id: EventId::new(),
            keyed: false,
            parts: NewEvent::new("channel_1", 1).into_parts(1024).unwrap(),
        };
        let mut work = Vec::new();
        work.push((
            "publish",
            self.count(|db| insert::insert(db, &[row]).unwrap()).0,
        ));
        let (took, rows) = self.claim(10);
        assert_eq!(rows.len(), 10);
        work.push(("claim of ten", took));
        work.push(("ack", self.settle(&rows[0], StoreVerdict::Ack)));
        let retry = StoreVerdict::Retry {
            after: Duration::from_secs(1),
            error: None,
        };
        work.push(("nack", self.settle(&rows[1], retry)));
        let by = Duration::from_secs(60);
        work.push(("extend", self.settle(&rows[2], StoreVerdict::Extend(by))));
        let release = StoreVerdict::Release { suspect: false };
        work.push(("release", self.settle(&rows[3], release)));
        // All leases end, none of them for the last time.
        self.clock.advance(Duration::from_secs(600));
        let (took, rows) = self.claim(10);
        assert_eq!(rows.len(), 1, "one whose lease ended comes alone");
        work.push(("claim after leases ended", took));
        // All delayed events are due.
        self.clock.advance(Duration::from_secs(5_000));
        work.push(("claim after delays", self.claim(10).0));
        // Whatever has an expiry has expired, and retention has passed.
        self.clock.advance(Duration::from_secs(90_000));
        work.push(("claim after expiry", self.claim(10).0));
        let (took, done) = self.count(|db| clean_up::clean_up(db, 200).unwrap());
        assert!(done.deleted >= 500 && done.expired > 0, "{done:?}");
        work.push(("clean-up of 200 each", took));
        work
    }
}

#[test]
fn plans_and_work_are_the_same_with_many_rows_analyzed_or_not() {
    let few = Tables::with(FEW, false).life();
    for analyze in [false, true] {
        let mut many = Tables::with(MANY, analyze);
        check_plans(&many.db.connection, &many.db.sql);
        check_looks(&many.db.connection, &many.db.sql);
        for ((what, few), (_, many)) in few.iter().zip(many.life()) {
            assert!(
                many <= few + few / 4 + 1_000,
                "{what} takes {few} instructions with {FEW} rows of each state, but {many} with {MANY} (analyzed: {analyze})"
            );
        }
    }
}
