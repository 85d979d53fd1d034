//! The raw limit: our tables and our statements on a plain connection, without the library.
//!
//! The statements are the library's own files, so that a change there changes the limit too.

use std::path::Path;
use std::time::Duration;

use event_channels::Durability;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Statement, params};

use crate::case::Result;
use crate::payload::{now_ns, read};
use crate::place::CHANNEL;

const INSERT: &str = include_str!("../../../events-queue-sqlite/src/sql/insert.sql");
const CLAIM: &str = include_str!("../../../events-queue-sqlite/src/sql/claim.sql");
const ACK_KEEP: &str = include_str!("../../../events-queue-sqlite/src/sql/ack_keep.sql");
const ACK_DELETE: &str = include_str!("../../../events-queue-sqlite/src/sql/ack_delete.sql");
const REGISTER: &str = include_str!("../../../events-queue-sqlite/src/sql/register.sql");
const FIND_QUEUE: &str = include_str!("../../../events-queue-sqlite/src/sql/find_queue.sql");

/// The status of a row that can be claimed.
const READY: i64 = 10;
const DEFAULT_GROUP: &str = "-";
const LEASE_MICROS: i64 = 30_000_000;

/// Opens a file that has the tables already.
pub(crate) fn connect(path: &Path, durability: Durability) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    let synchronous = match durability {
        Durability::Power => "full",
        Durability::Process => "normal",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // The memory that the library allows itself.
    connection.pragma_update(None, "cache_size", -16_000)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    // As in the library: without it a bound LIMIT has the claim compiled anew each time.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Registers the default group of the channel; answers its queue.
pub(crate) fn register(connection: &Connection) -> Result<i64> {
    connection.execute(REGISTER, params![CHANNEL, DEFAULT_GROUP, now_micros()])?;
    let queue = params![CHANNEL, DEFAULT_GROUP];
    Ok(connection.query_row(FIND_QUEUE, queue, |row| row.get(0))?)
}

pub(crate) fn now_micros() -> i64 {
    i64::try_from(now_ns() / 1000).unwrap_or(i64::MAX)
}

/// Prepared statements of one connection.
pub(crate) struct Raw<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    insert: Statement<'c>,
    claim: Statement<'c>,
    ack_keep: Statement<'c>,
    ack_delete: Statement<'c>,
    queue_id: i64,
    next_id: u128,
}

/// A claimed event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawHeld {
    pub(crate) number: usize,
    pub(crate) sent_ns: u64,
    row: i64,
    event_id: [u8; 16],
    fence: i64,
}

impl<'c> Raw<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> Result<Self> {
        Ok(Self {
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            insert: connection.prepare(INSERT)?,
            claim: connection.prepare(CLAIM)?,
            ack_keep: connection.prepare(ACK_KEEP)?,
            ack_delete: connection.prepare(ACK_DELETE)?,
            queue_id: register(connection)?,
            // Ids that sort by time, as generated ones do.
            next_id: u128::from(now_ns()) << 32,
        })
    }

    /// Stores one event.
    pub(crate) fn insert(&mut self, payload: &str) -> Result<()> {
        self.next_id += 1;
        let now = now_micros();
        let none = None::<i64>;
        self.insert.execute(params![
            self.queue_id,
            self.next_id.to_be_bytes(),
            READY,
            0,
            now,
            none,
            now,
            false,
            none,
            payload
        ])?;
        Ok(())
    }

    /// Stores events in one transaction.
    pub(crate) fn insert_all(&mut self, payloads: impl Iterator<Item = String>) -> Result<()> {
        self.begin.execute([])?;
        for payload in payloads {
            self.insert(&payload)?;
        }
        self.commit.execute([])?;
        Ok(())
    }

    /// Leases up to `limit` events and adds them to `held`.
    pub(crate) fn claim(&mut self, limit: i64, held: &mut Vec<RawHeld>) -> Result<()> {
        let now = now_micros();
        let least = i64::MIN;
        let mut rows = self.claim.query(params![
            self.queue_id,
            now + LEASE_MICROS,
            least,
            limit,
            now
        ])?;
        while let Some(row) = rows.next()? {
            let text = row.get_ref(10)?.as_str()?;
            let (number, sent_ns) = read(text).ok_or("a payload without a number")?;
            held.push(RawHeld {
                number,
                sent_ns,
                row: row.get(0)?,
                event_id: row.get(1)?,
                fence: row.get(4)?,
            });
        }
        Ok(())
    }

    /// Acknowledges one event.
    pub(crate) fn ack(&mut self, held: &RawHeld, retention: Duration) -> Result<()> {
        let RawHeld {
            row,
            event_id,
            fence,
            ..
        } = held;
        let changed = if retention.is_zero() {
            self.ack_delete
                .execute(params![row, fence, event_id, self.queue_id])?
        } else {
            self.ack_keep
                .execute(params![row, fence, event_id, now_micros(), self.queue_id])?
        };
        if changed == 1 {
            Ok(())
        } else {
            Err("an event was lost to another holder".into())
        }
    }

    /// Acknowledges events in one transaction.
    pub(crate) fn ack_all(&mut self, held: &[RawHeld], retention: Duration) -> Result<()> {
        self.begin.execute([])?;
        for one in held {
            self.ack(one, retention)?;
        }
        self.commit.execute([])?;
        Ok(())
    }
}
