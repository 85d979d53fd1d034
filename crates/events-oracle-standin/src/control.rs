//! The files of a server, and what tests ask of it, inside the library that the driver loaded.
//!
//! Everything that touches the files is in this library: two copies of SQLite in one process do not
//! see each other's locks, so the test's own copy must not open them. A test reaches this through
//! one function more than Oracle's library has.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::OraError;

/// The file that makes a folder a server.
pub(crate) const CONTROL: &str = "control.db";

/// What a test may ask, numbered as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Create,
    Set,
    Unset,
    Kill,
    Sessions,
    Plan,
    ForgetPlans,
    Calls,
}

impl Ask {
    pub(crate) const ALL: [Self; 8] = [
        Self::Create,
        Self::Set,
        Self::Unset,
        Self::Kill,
        Self::Sessions,
        Self::Plan,
        Self::ForgetPlans,
        Self::Calls,
    ];
}

/// How many numbers travel with a question.
pub(crate) const NUMBERS: usize = 6;

/// Answers a question about the server in `folder`.
pub(crate) fn answer(
    folder: &Path,
    ask: Ask,
    text: &str,
    numbers: [i64; NUMBERS],
) -> Result<i64, OraError> {
    if ask == Ask::Create {
        std::fs::create_dir_all(folder)
            .map_err(|error| OraError::new(600, format_args!("no folder: {error}")))?;
    }
    let db = control(folder)?;
    let count = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
    match ask {
        Ask::Create => Ok(0),
        Ask::Set => Ok(count(db.execute(
            "INSERT OR REPLACE INTO settings (key, value) VALUES (?1, ?2)",
            params![text, numbers[0]],
        )?)),
        Ask::Unset => Ok(count(
            db.execute("DELETE FROM settings WHERE key = ?1", [text])?,
        )),
        Ask::Kill => Ok(count(
            db.execute("UPDATE sessions SET killed = 1 WHERE NOT killed", [])?,
        )),
        Ask::Sessions => Ok(db.query_row(
            "SELECT count(*) FROM sessions WHERE NOT killed",
            [],
            |row| row.get(0),
        )?),
        Ask::Plan => {
            let [skip, times, code, pause, kill, inside] = numbers;
            Ok(count(db.execute(
                "INSERT INTO faults (what, skip, times, code, pause_ms, kill, inside)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![text, skip, times, code, pause, kill, inside],
            )?))
        }
        Ask::ForgetPlans => Ok(count(db.execute("DELETE FROM faults", [])?)),
        Ask::Calls => Ok(db.query_row(
            "SELECT coalesce(sum(count), 0) FROM calls WHERE instr(what, ?1) > 0",
            [text],
            |row| row.get(0),
        )?),
    }
}

/// The way in for a test; the answer is a number, or the code of an error.
///
/// # Safety
///
/// The texts are of the lengths beside them, `numbers` points to six, and `out` to one.
#[unsafe(no_mangle)]
unsafe extern "C" fn events_oracle_standin_control(
    folder: *const u8,
    folder_length: usize,
    ask: usize,
    text: *const u8,
    text_length: usize,
    numbers: *const [i64; NUMBERS],
    out: *mut i64,
) -> i32 {
    // SAFETY: the caller vouches for the texts and the numbers.
    let (folder, text, numbers) = unsafe {
        (
            crate::oci::text(folder, folder_length),
            crate::oci::text(text, text_length),
            *numbers,
        )
    };
    let Some(ask) = Ask::ALL.get(ask) else {
        return 600;
    };
    match answer(Path::new(&folder), *ask, &text, numbers) {
        Ok(number) => {
            // SAFETY: the caller vouches for the place.
            unsafe { *out = number };
            0
        }
        Err(error) => error.code,
    }
}

/// Opens a file of a server: shared by processes, and not worth an fsync.
pub(crate) fn database(path: &Path) -> Result<Connection, OraError> {
    let db = Connection::open(path)?;
    db.busy_timeout(Duration::from_secs(20))?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", "off")?;
    Ok(db)
}

pub(crate) fn control(folder: &Path) -> Result<Connection, OraError> {
    let db = database(&folder.join(CONTROL))?;
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
         CREATE TABLE IF NOT EXISTS sessions (
             id INTEGER PRIMARY KEY AUTOINCREMENT, pid INTEGER NOT NULL, begun INTEGER NOT NULL,
             killed INTEGER NOT NULL DEFAULT 0);
         CREATE TABLE IF NOT EXISTS faults (
             id INTEGER PRIMARY KEY, what TEXT NOT NULL, skip INTEGER NOT NULL,
             times INTEGER NOT NULL, code INTEGER NOT NULL, pause_ms INTEGER NOT NULL,
             kill INTEGER NOT NULL, inside INTEGER NOT NULL);
         CREATE TABLE IF NOT EXISTS calls (what TEXT PRIMARY KEY, count INTEGER NOT NULL);",
    )?;
    Ok(db)
}

pub(crate) fn setting(db: &Connection, key: &str) -> Result<Option<i64>, OraError> {
    Ok(db
        .prepare_cached("SELECT value FROM settings WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?)
}
