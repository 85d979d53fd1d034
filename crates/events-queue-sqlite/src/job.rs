//! A unit of work for the writer; it can be run again after a rollback.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use events_core::{Error, ErrorKind, Op, Result};

use crate::database::Database;
use crate::error::BACKEND;
use crate::ticket::{Salvage, Slot};
use crate::writer::Shared;

/// What a job asks of its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads outside of any transaction.
    Read,
    /// Claims; looks first whether there is anything to write.
    Claim,
    /// Writes what may be repeated after a power loss: verdicts.
    Settle,
    /// Gives events back; done even if the close came before it.
    Release,
    /// Writes what must not be lost: events and registrations.
    Publish,
    /// Deletes what nobody needs.
    CleanUp,
    /// Ends the writer.
    Close,
}

/// What the writer has to know of a job before it runs.
#[derive(Debug)]
pub(crate) struct Terms<T> {
    pub(crate) kind: Kind,
    pub(crate) op: Op,
    /// The size of the events in it.
    pub(crate) bytes: usize,
    /// What to do with an answer that nobody takes.
    pub(crate) salvage: Option<Salvage<T>>,
}

impl<T> Terms<T> {
    pub(crate) const fn new(kind: Kind, op: Op) -> Self {
        Self {
            kind,
            op,
            bytes: 0,
            salvage: None,
        }
    }

    pub(crate) fn bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    pub(crate) fn salvage(self, salvage: Salvage<T>) -> Self {
        Self {
            salvage: Some(salvage),
            ..self
        }
    }
}

/// A job of any answer type.
pub(crate) trait Job: Send {
    fn kind(&self) -> Kind;
    fn op(&self) -> Op;
    fn bytes(&self) -> usize;
    fn is_cancelled(&self) -> bool;
    /// Does the work; the answer is kept until [`Job::finish`].
    fn run(&mut self, database: &mut Database) -> Result<()>;
    /// Gives the caller the answer, or the reason why the batch failed.
    fn finish(self: Box<Self>, committed: Result<()>, writer: &Arc<Shared>);
}

pub(crate) struct Work<T, F> {
    kind: Kind,
    op: Op,
    bytes: usize,
    run: F,
    answer: Option<T>,
    slot: Arc<Slot<T>>,
}

impl<T, F> Work<T, F> {
    pub(crate) fn new(terms: &Terms<T>, run: F, slot: Arc<Slot<T>>) -> Self {
        Self {
            kind: terms.kind,
            op: terms.op,
            bytes: terms.bytes,
            run,
            answer: None,
            slot,
        }
    }
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: FnMut(&mut Database) -> Result<T> + Send,
{
    fn kind(&self) -> Kind {
        self.kind
    }

    fn op(&self) -> Op {
        self.op
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_cancelled(&self) -> bool {
        self.slot.is_cancelled()
    }

    fn run(&mut self, database: &mut Database) -> Result<()> {
        let started = Instant::now();
        let run = AssertUnwindSafe(|| (self.run)(database));
        let answer = catch_unwind(run).unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Backend, self.op)
                .because("a bug in this library: the operation panicked")
                .in_backend(BACKEND))
        });
        database.times.took(self.op.as_str(), started.elapsed());
        self.answer = Some(answer.map_err(|e| e.during(self.op))?);
        Ok(())
    }

    fn finish(self: Box<Self>, committed: Result<()>, writer: &Arc<Shared>) {
        let Self {
            op, answer, slot, ..
        } = *self;
        let not_run = || Error::new(ErrorKind::Backend, op).because("the operation was not run");
        let answer = committed
            .map_err(|e| e.during(op))
            .and_then(|()| answer.ok_or_else(not_run));
        slot.finish(answer, writer);
    }
}
