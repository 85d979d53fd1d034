//! What a worker does with a session: the work of one caller, again if another session stood in
//! its way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use events_core::{Error, ErrorKind, Op, Result};

use crate::ticket::Slot;
use crate::{Session, closed};

/// How often a transaction that lost against another one is run again.
const CONFLICTS: usize = 5;

/// Work that waits for a session.
pub(crate) trait Job: Send {
    /// Does it and leaves the answer; false when the session must not be used again.
    #[must_use]
    fn run(self: Box<Self>, session: &Session) -> bool;

    /// Leaves this answer: no session can be had.
    fn refuse(self: Box<Self>, error: Error);
}

pub(crate) struct Work<T, F> {
    pub(crate) op: Op,
    pub(crate) backend: &'static str,
    pub(crate) slot: Arc<Slot<T>>,
    pub(crate) work: Option<F>,
}

impl<T, F> Job for Work<T, F>
where
    T: Send + 'static,
    F: FnMut(&Session) -> Result<T> + Send + 'static,
{
    fn run(mut self: Box<Self>, session: &Session) -> bool {
        let Some(mut work) = self.work.take() else {
            return true;
        };
        let tried = catch_unwind(AssertUnwindSafe(|| attempt(session, self.op, &mut work)));
        let (answer, clean) = tried.unwrap_or_else(|_| {
            let bug = Error::new(ErrorKind::Backend, self.op)
                .because("a bug in this library: the work on the session panicked");
            (Err(bug), false)
        });
        self.slot
            .finish(answer.map_err(|error| error.during(self.op)));
        clean
    }

    fn refuse(mut self: Box<Self>, error: Error) {
        self.work = None;
        self.slot.finish(Err(error.during(self.op)));
    }
}

impl<T, F> Drop for Work<T, F> {
    /// A job that is dropped undone still answers.
    fn drop(&mut self) {
        if self.work.is_some() {
            self.slot.finish(Err(closed(self.op, self.backend)));
        }
    }
}

/// Runs the work, and again while another session stands in its way. What it left uncommitted when
/// it failed is rolled back; the second answer is whether the session may be used again.
fn attempt<T>(
    session: &Session,
    op: Op,
    work: &mut impl FnMut(&Session) -> Result<T>,
) -> (Result<T>, bool) {
    let mut conflicts = 0;
    loop {
        let error = match work(session) {
            Ok(answer) => return (Ok(answer), true),
            Err(error) => error,
        };
        // What is not rolled back would be committed by the next work on this session.
        let undone = session.rollback(op).is_ok();
        if !undone || error.kind() != ErrorKind::Busy || conflicts == CONFLICTS {
            // A session that was killed may look well to the client until it is used.
            let gone = error.kind() == ErrorKind::Unavailable;
            return (Err(error), undone && !gone);
        }
        conflicts += 1;
    }
}
