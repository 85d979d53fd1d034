//! Room for the write-ahead log, made before it is needed.
//!
//! A flush of a file that has grown writes its new length and its new blocks into the journal of
//! the file system as well, and takes twice as long as one of a file that was written over. So a
//! log that is new is made as long as it will be: a transaction that is rolled back leaves the
//! frames that it spilled, and commits write over them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use events_core::{Op, Result};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::error::sqlite;

/// Pages beyond this are spilled into the log.
const CACHE_PAGES: u32 = 10;

/// Whether the log of a database is as long as `bytes` already.
pub(super) fn is_there(database: &Path, bytes: u32) -> bool {
    // The log lies beside the file itself, whatever links lead to it.
    let mut log = database.canonicalize().unwrap_or_default().into_os_string();
    log.push("-wal");
    let found = std::fs::metadata(PathBuf::from(log));
    found.is_ok_and(|log| log.len() >= u64::from(bytes))
}

/// Makes the log so many bytes longer, if nobody else has the lock; nothing is committed.
pub(super) fn make(connection: &Connection, bytes: u32, patience: Duration) -> Result<()> {
    let fill = || {
        connection.busy_timeout(Duration::ZERO)?;
        connection.pragma_update(None, "cache_size", CACHE_PAGES)?;
        // Rolled back when it is dropped.
        let spilled = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let fill = "CREATE TABLE main.events_log_room AS SELECT zeroblob(?1) AS room";
        spilled.execute(fill, [bytes])?;
        spilled.rollback()
    };
    let filled = fill();
    connection
        .busy_timeout(patience)
        .and(filled)
        .map_err(|e| sqlite(Op::CleanUp, e))
}
