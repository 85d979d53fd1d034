//! The queue tables: executes the shipped statements, tagged `events.table.…` and `events.tables.…`,
//! on an SQLite file of the server, with Oracle's row locks beside it.
//!
//! The conditions of the statements are really evaluated, so a wrong one is found. What SQLite
//! does not know, the statement may not hold beyond what `translate` rewrites.

mod ddl;
mod lock;
mod storage;
mod translate;

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;

use self::lock::{Locks, Mode};
use self::storage::Storage;
use self::translate::{Statement, Verb};
use crate::OraError;
use crate::call::Call;
use crate::control;
use crate::engine::{Engine, Outcome, Rows};
use crate::value::{Binds, Value};

/// The statements that are known, in the order of their files.
const KNOWN: &[&str] = &[
    "ack_delete",
    "ack_keep",
    "bury",
    "claim",
    "column_store",
    "columns",
    "dead_hold",
    "dead_ids",
    "dead_letters",
    "dead_remove",
    "due",
    "expired",
    "expired_anywhere",
    "extend",
    "find_queue",
    "hold",
    "hold_ended",
    "hold_expired",
    "hold_foreign",
    "identify",
    "in_memory",
    "insert",
    "inspect",
    "key_again",
    "key_buried",
    "key_forget",
    "key_insert",
    "key_settled",
    "lease",
    "ledger_forget",
    "ledger_list",
    "ledger_lock",
    "ledger_record",
    "outlook",
    "ping",
    "purge_acked",
    "purge_expired",
    "purge_keys",
    "queues_of",
    "register",
    "release",
    "remove_acked",
    "remove_buried",
    "requeue",
    "retry",
    "stats",
    "turn",
];

/// A session's side of the tables.
pub(crate) struct Tables {
    storage: Arc<Mutex<Storage>>,
    locks: Arc<Locks>,
    control: Connection,
    session: i64,
    version: u32,
}

impl Tables {
    pub(crate) fn open(folder: &Path, session: i64, version: u32) -> Result<Self, OraError> {
        let storage = Storage::open(&folder.join("tables.db"))?;
        Ok(Self {
            storage: Arc::new(Mutex::new(storage)),
            locks: Locks::of(folder),
            control: control::control(folder)?,
            session,
            version,
        })
    }

    /// Takes the locks of the rows that a change would touch.
    fn lock_touched(
        &self,
        call: &Call,
        statement: &Statement,
        binds: &Binds,
    ) -> Result<(), OraError> {
        let touched = self.storage.lock().rowids(&statement.touched(), binds)?;
        for rowid in touched {
            let row = (statement.table.clone(), rowid);
            self.locks.take(call, row, self.session)?;
        }
        Ok(())
    }

    /// The rows of a query that locks, each locked when it is asked for.
    fn locked_rows(&self, statement: &Statement, binds: &Binds) -> Result<Rows, OraError> {
        let candidates = self.storage.lock().rowids(&statement.touched(), binds)?;
        let (storage, locks) = (Arc::clone(&self.storage), Arc::clone(&self.locks));
        let (session, binds) = (self.session, binds.clone());
        let unlocked = control::setting(&self.control, "skip_without_locks")?.is_some();
        let (one, table) = (statement.one_row(), statement.table.clone());
        let kinds = statement.clone();
        Ok(Box::new(candidates.into_iter().filter_map(move |rowid| {
            let row = (table.clone(), rowid);
            let new = match locks.try_take(&row, session) {
                Mode::Refused => return None,
                mode => mode == Mode::New,
            };
            if new && unlocked {
                locks.give_back(&row);
            }
            // Another session may have changed it since the cursor was opened.
            let rows = storage.lock().query_row(&kinds, &one, &binds, rowid);
            match rows {
                Ok(Some(values)) => Some(Ok(values)),
                Ok(None) => {
                    if new {
                        locks.give_back(&row);
                    }
                    None
                }
                Err(error) => Some(Err(error)),
            }
        })))
    }

    fn query(
        &self,
        call: &Call,
        statement: &Statement,
        binds: &Binds,
    ) -> Result<Outcome, OraError> {
        let columns = self.storage.lock().columns(statement)?;
        if statement.waits_for_locks {
            self.lock_touched(call, statement, binds)?;
        } else if statement.skips_locked {
            return Ok(Outcome::Query(columns, self.locked_rows(statement, binds)?));
        }
        let rows: Vec<Vec<Value>> = self.storage.lock().query(statement, binds)?;
        Ok(Outcome::rows(columns, rows))
    }

    fn begin(&self, call: &Call) -> Result<(), OraError> {
        while !self.storage.lock().try_begin()? {
            call.wait(std::time::Duration::from_millis(5))?;
        }
        Ok(())
    }
}

impl Engine for Tables {
    fn understands(&self, sql: &str) -> bool {
        translate::tag(sql).is_some() || sql.starts_with("COMMIT WRITE ")
    }

    fn execute(&mut self, call: &Call, sql: &str, binds: &mut Binds) -> Result<Outcome, OraError> {
        let Some(tag) = translate::tag(sql) else {
            self.commit()?;
            return Ok(Outcome::Done(0));
        };
        if let Some(script) = tag.strip_prefix("events.tables.") {
            self.commit()?;
            self.begin(call)?;
            ddl::run(&self.storage.lock(), script, sql, self.version)?;
            self.commit()?;
            return Ok(Outcome::Done(0));
        }
        let name = tag.trim_start_matches("events.table.");
        if !KNOWN.contains(&name) {
            return Err(OraError::unknown(sql));
        }
        let statement = Statement::new(name, sql)?;
        let names: Vec<&str> = statement.variables.iter().map(String::as_str).collect();
        binds.expect(&names)?;
        match statement.verb {
            Verb::Select => return self.query(call, &statement, binds),
            Verb::Alter => {
                self.storage.lock().columns_of(&statement.table)?;
                self.begin(call)?;
                self.storage.lock().keep_in_memory(&statement.table)?;
                self.commit()?;
                return Ok(Outcome::Done(0));
            }
            Verb::Update | Verb::Delete => self.lock_touched(call, &statement, binds)?,
            Verb::Insert => {}
        }
        self.begin(call)?;
        let rows = self.storage.lock().execute(&statement, binds)?;
        Ok(Outcome::Done(rows))
    }

    fn commit(&mut self) -> Result<(), OraError> {
        self.storage.lock().commit()?;
        self.locks.release(self.session);
        Ok(())
    }

    fn rollback(&mut self) -> Result<(), OraError> {
        self.storage.lock().rollback()?;
        self.locks.release(self.session);
        Ok(())
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        let _ = self.storage.lock().rollback();
        self.locks.release(self.session);
    }
}
