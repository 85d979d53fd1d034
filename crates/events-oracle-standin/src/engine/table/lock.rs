//! Locks of rows, as Oracle has them: held to the end of the transaction, waited for or skipped.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::OraError;
use crate::call::Call;

/// A table and the number of a row.
pub(super) type Row = (String, i64);

/// A wait that is longer is a deadlock: here a transaction also waits for SQLite's single writer.
const DEADLOCK: Duration = Duration::from_secs(2);

/// The locks of one server, shared by its sessions in this process.
#[derive(Debug, Default)]
pub(super) struct Locks(Mutex<HashMap<Row, i64>>);

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    New,
    Held,
    Refused,
}

static SERVERS: LazyLock<Mutex<HashMap<PathBuf, Arc<Locks>>>> = LazyLock::new(Mutex::default);

impl Locks {
    pub(super) fn of(folder: &Path) -> Arc<Self> {
        Arc::clone(SERVERS.lock().entry(folder.to_owned()).or_default())
    }

    pub(super) fn try_take(&self, row: &Row, session: i64) -> Mode {
        let mut locks = self.0.lock();
        match locks.get(row) {
            Some(holder) if *holder == session => Mode::Held,
            Some(_) => Mode::Refused,
            None => {
                locks.insert(row.clone(), session);
                Mode::New
            }
        }
    }

    pub(super) fn take(&self, call: &Call, row: Row, session: i64) -> Result<(), OraError> {
        let started = Instant::now();
        while self.try_take(&row, session) == Mode::Refused {
            if started.elapsed() > DEADLOCK {
                return Err(OraError::new(
                    60,
                    "deadlock detected while waiting for resource",
                ));
            }
            call.wait(Duration::from_millis(1))?;
        }
        Ok(())
    }

    pub(super) fn give_back(&self, row: &Row) {
        self.0.lock().remove(row);
    }

    pub(super) fn release(&self, session: i64) {
        self.0.lock().retain(|_, holder| *holder != session);
    }
}
