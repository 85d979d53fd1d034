//! What stands behind the interface: statements, understood by one engine each.

use std::path::Path;

use crate::OraError;
use crate::call::Call;
use crate::value::{Binds, Column, Value};

mod dual;
mod queue;
mod table;

/// The rows of a query, made as they are fetched.
pub type Rows = Box<dyn Iterator<Item = Result<Vec<Value>, OraError>> + Send>;

/// What an execution brought.
pub enum Outcome {
    /// A statement or a block without a result: how many rows it touched.
    Done(u64),
    /// A query: its columns and its rows.
    Query(Vec<Column>, Rows),
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Done(rows) => f.debug_tuple("Done").field(rows).finish(),
            Self::Query(columns, _) => f.debug_tuple("Query").field(columns).finish(),
        }
    }
}

impl Outcome {
    /// A query whose rows are all known.
    pub fn rows(columns: Vec<Column>, rows: Vec<Vec<Value>>) -> Self {
        Self::Query(columns, Box::new(rows.into_iter().map(Ok)))
    }
}

/// One session's side of a part of the server.
///
/// An engine is made when a session begins and dropped when it ends, however it ends: dropping one
/// with work that was not committed rolls it back. What several sessions share lies in files, since
/// sessions of other processes share it too.
pub trait Engine: Send {
    /// Whether the statement is this engine's to execute; the first that says so gets it.
    fn understands(&self, sql: &str) -> bool;

    /// Executes once; of an array of binds, once for each row.
    ///
    /// A call that waits does so by [`Call::wait`], so that it can be broken.
    ///
    /// # Errors
    ///
    /// What Oracle would answer.
    fn execute(&mut self, call: &Call, sql: &str, binds: &mut Binds) -> Result<Outcome, OraError>;

    /// Makes the work of the session's transaction lasting.
    ///
    /// # Errors
    ///
    /// What Oracle would answer.
    fn commit(&mut self) -> Result<(), OraError>;

    /// Undoes the work of the session's transaction.
    ///
    /// # Errors
    ///
    /// What Oracle would answer.
    fn rollback(&mut self) -> Result<(), OraError>;
}

/// The engines of a new session on the server whose files lie in `folder`.
///
/// `session` is the number of the session, unique on its server, and `version` the server's.
///
/// # Errors
///
/// When the server's files cannot be opened.
pub fn begin(folder: &Path, session: i64, version: u32) -> Result<Vec<Box<dyn Engine>>, OraError> {
    Ok(vec![
        Box::new(dual::Dual),
        Box::new(queue::Queues::open(folder, session, version)?),
        Box::new(table::Tables::open(folder, session, version)?),
    ])
}
