//! Publishing in a transaction of the caller's own: the event is stored if and only if whatever
//! else the transaction does is.

use std::fmt;
use std::fs;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use events_core::{Error, ErrorKind, EventId, NewEvent, Op, Result};
use events_queue::QueueBackend;
use rusqlite::{Connection, Savepoint, Transaction};

use crate::SqliteStore;
use crate::bell::{Ring, Ringer};
use crate::error::{BACKEND, sqlite};
use crate::insert::insert_into;

mod sealed {
    pub trait Sealed {}
    impl Sealed for rusqlite::Transaction<'_> {}
    impl Sealed for rusqlite::Savepoint<'_> {}
}

/// A transaction or a savepoint of any connection to the file of the queue.
pub trait OpenTransaction: Deref<Target = Connection> + sealed::Sealed {}

impl OpenTransaction for Transaction<'_> {}
impl OpenTransaction for Savepoint<'_> {}

/// Publishes in a transaction of the caller's own.
///
/// The same rules hold as for `publish`, and the call blocks as every call of that connection
/// does. Nobody sees the events before the commit, and after a rollback there are none. After the
/// commit ring the [`Bell`].
///
/// What the events survive is decided by the `synchronous` pragma of that connection. Begin the
/// transaction with [`rusqlite::TransactionBehavior::Immediate`] if it reads before it publishes,
/// and publish nothing else through the channel while it is open: the channel's own writer would
/// wait for it.
pub trait TransactionalPublish {
    /// Publishes one event.
    ///
    /// # Errors
    /// `InvalidInput` for an event that breaks a rule, for a transaction that is over, and for a
    /// connection to another file; `SchemaMissing` when the file has no queue table;
    /// `Unsupported` for a queue in memory, which has no other connection; otherwise those of the
    /// database. Nothing of the call is stored then, and the transaction can go on unless SQLite
    /// itself has rolled it back.
    fn publish_in(&self, tx: &impl OpenTransaction, event: NewEvent) -> Result<(EventId, Bell)> {
        let (ids, bell) = self.publish_many_in(tx, [event])?;
        let id = ids.first().copied().ok_or_else(|| {
            Error::new(ErrorKind::Backend, Op::Publish).because("no id was answered")
        })?;
        Ok((id, bell))
    }

    /// Publishes events in order, all of them or none; the ids come in the same order.
    ///
    /// # Errors
    /// As [`TransactionalPublish::publish_in`].
    fn publish_many_in(
        &self,
        tx: &impl OpenTransaction,
        events: impl IntoIterator<Item = NewEvent>,
    ) -> Result<(Vec<EventId>, Bell)>;
}

/// Wakes consumers of what was published, in this process and in others.
///
/// Dropping it loses nothing: consumers then find the events within a tenth of a second.
#[must_use = "ring it after the commit, so that consumers are woken at once"]
pub struct Bell {
    ringer: Ringer,
    rings: Vec<Ring>,
    count: Box<dyn FnOnce() + Send + Sync>,
}

impl Bell {
    /// Rings; to be called after the commit. Before it, or after a rollback, consumers look in
    /// vain.
    pub fn ring(self) {
        (self.count)();
        self.ringer.ring(&self.rings);
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").finish_non_exhaustive()
    }
}

impl TransactionalPublish for QueueBackend<SqliteStore> {
    fn publish_many_in(
        &self,
        tx: &impl OpenTransaction,
        events: impl IntoIterator<Item = NewEvent>,
    ) -> Result<(Vec<EventId>, Bell)> {
        let publish = || {
            let rows = self.prepare(events.into_iter().collect())?;
            let store = self.store();
            check(tx, store.ringer().database())?;
            let mut rings = Vec::new();
            let session = store.session(tx);
            let stored = whole(tx, || {
                let mut lock = session.statement(&session.sql.take_lock)?;
                lock.execute([]).map_err(|e| sqlite(Op::Publish, e))?;
                insert_into(session, &rows, &mut rings)
            })?;
            let ids = rows.iter().map(|row| row.id).collect();
            let count = Box::new(self.counted(&rows, stored));
            let ringer = store.ringer().clone();
            Ok((
                ids,
                Bell {
                    ringer,
                    rings,
                    count,
                },
            ))
        };
        publish().map_err(|error: Error| error.during(Op::Publish).in_backend(BACKEND))
    }
}

/// Refuses a connection whose events no consumer would find.
fn check(connection: &Connection, ours: Option<&Path>) -> Result<()> {
    let refused = |why: String| Err(Error::invalid_input(Op::Publish, why));
    let Some(ours) = ours else {
        return Err(Error::new(ErrorKind::Unsupported, Op::Publish)
            .because("a queue in memory has no other connection; use a file"));
    };
    if connection.is_autocommit() {
        return refused("the transaction is over; begin another one".to_owned());
    }
    let theirs = Path::new(connection.path().unwrap_or_default());
    if theirs == ours || is_same_file(theirs, ours) {
        return Ok(());
    }
    refused(format!(
        "the main database of the transaction is {:?}, that of the channel {:?}; open a connection to the latter, and attach others to it",
        theirs, ours
    ))
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    // Asks for their numbers only: opening them would drop SQLite's locks.
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// Does all of the work or nothing of it, within the caller's transaction.
fn whole<T>(connection: &Connection, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let run = |sql| {
        connection
            .execute_batch(sql)
            .map_err(|e| sqlite(Op::Publish, e))
    };
    run("SAVEPOINT events_publish")?;
    match work() {
        Ok(done) => run("RELEASE events_publish").map(|()| done),
        Err(error) => {
            // On a full disk SQLite has rolled everything back already.
            if !connection.is_autocommit() {
                run("ROLLBACK TO events_publish; RELEASE events_publish")?;
            }
            Err(error)
        }
    }
}
