//! One writer for each database: group commit, led by its thread or by a caller that may block.
//!
//! Jobs are queued; whoever gets the database runs everything queued as one transaction and
//! answers only after its COMMIT. There is no timer: the flush of one batch is the window in
//! which the next one gathers.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};

use events_core::{Error, ErrorKind, Op, Pending, Result};
use events_queue::Wakes;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::database::Database;
use crate::error::BACKEND;
use crate::job::{Job, Kind, Work};
use crate::ticket::{Salvage, Slot, Sweep, Ticket};

/// The most jobs of one transaction, so that no caller waits for too many others.
const MAX_BATCH: usize = 512;

/// The queue of jobs and the database they are run on.
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    /// The thread sleeps here.
    called: Condvar,
    /// Claims whose answer may not have been taken yet.
    claims: Mutex<Vec<Weak<dyn Sweep>>>,
    /// Held by whoever leads; `None` after close.
    database: Mutex<Option<Database>>,
    pub(crate) wakes: Arc<Wakes>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Box<dyn Job>>,
    closed: bool,
    asleep: bool,
}

/// Owns the writer's thread; the thread ends with it.
pub(crate) struct Writer(Arc<Shared>);

impl Writer {
    /// Starts the thread that leads for async callers.
    pub(crate) fn start(database: Database, wakes: Arc<Wakes>) -> Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            called: Condvar::new(),
            claims: Mutex::default(),
            database: Mutex::new(Some(database)),
            wakes,
        });
        let thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("events-sqlite".to_owned())
            .spawn(move || thread.run())
            .map_err(|e| {
                Error::new(ErrorKind::Unavailable, Op::Open)
                    .because("no thread can be started")
                    .caused_by(e)
            })?;
        Ok(Self(shared))
    }

    /// Queues a job that changes the database.
    pub(crate) fn submit<T, F>(&self, kind: Kind, op: Op, run: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Database) -> Result<T> + Send + 'static,
    {
        self.0.submit(kind, op, None, run)
    }

    /// Queues a job whose answer needs care when nobody takes it.
    pub(crate) fn submit_salvaged<T, F>(
        &self,
        kind: Kind,
        op: Op,
        salvage: Salvage<T>,
        run: F,
    ) -> Pending<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Database) -> Result<T> + Send + 'static,
    {
        self.0.submit(kind, op, Some(salvage), run)
    }

    /// Queues a job that is done even if the close came before it.
    pub(crate) fn submit_own<T, F>(&self, kind: Kind, op: Op, run: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Database) -> Result<T> + Send + 'static,
    {
        self.0.submit_own(kind, op, run)
    }

    /// Runs what is queued, then closes the database. Later jobs answer `Closed`.
    pub(crate) fn close(&self) -> Pending<()> {
        self.submit(Kind::Close, Op::Shutdown, |_| Ok(()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.queue.lock().closed = true;
        self.0.called.notify_one();
    }
}

impl Shared {
    pub(crate) fn submit<T, F>(
        self: &Arc<Self>,
        kind: Kind,
        op: Op,
        salvage: Option<Salvage<T>>,
        run: F,
    ) -> Pending<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Database) -> Result<T> + Send + 'static,
    {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Pending::ready(Err(closed(op)));
        }
        queue.closed = kind == Kind::Close;
        self.push(queue, kind, op, salvage, run)
    }

    /// Queues a job of the writer's own, which is done even if the close came before it.
    pub(crate) fn submit_own<T, F>(self: &Arc<Self>, kind: Kind, op: Op, run: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Database) -> Result<T> + Send + 'static,
    {
        self.push(self.queue.lock(), kind, op, None, run)
    }

    fn push<T, F>(
        self: &Arc<Self>,
        mut queue: MutexGuard<'_, Queue>,
        kind: Kind,
        op: Op,
        salvage: Option<Salvage<T>>,
        run: F,
    ) -> Pending<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Database) -> Result<T> + Send + 'static,
    {
        let slot = Slot::new(salvage);
        if salvage.is_some() {
            let mut claims = self.claims.lock();
            claims.retain(|claim| claim.strong_count() > 0);
            let claim: Weak<dyn Sweep> = Arc::downgrade(&(Arc::clone(&slot) as Arc<dyn Sweep>));
            claims.push(claim);
        }
        let job = Work::new(kind, op, run, Arc::clone(&slot));
        queue.jobs.push_back(Box::new(job));
        drop(queue);
        Pending::started(Ticket::new(slot, Arc::clone(self)))
    }

    /// Wakes the writer's thread if it sleeps; if it does not, it looks at the queue again anyway.
    pub(crate) fn call_thread(&self) {
        let mut queue = self.queue.lock();
        if std::mem::replace(&mut queue.asleep, false) {
            drop(queue);
            self.called.notify_one();
        }
    }

    /// Leads on this thread until `done`, unless somebody else leads already: then that one, or
    /// the thread, will do the job.
    pub(crate) fn lead(self: &Arc<Self>, done: impl Fn() -> bool) {
        if let Some(database) = self.database.try_lock() {
            self.serve(database, done);
        }
    }

    /// Runs batches until the queue is empty or `done`. What is queued while the database is
    /// being let go is left to the thread.
    fn serve(
        self: &Arc<Self>,
        mut database: MutexGuard<'_, Option<Database>>,
        done: impl Fn() -> bool,
    ) {
        loop {
            let batch = self.take_batch();
            if batch.is_empty() {
                break;
            }
            self.run_batch(&mut database, batch);
            if done() {
                break;
            }
        }
        drop(database);
        let queue = self.queue.lock();
        let left = queue.asleep && !queue.jobs.is_empty();
        drop(queue);
        if left {
            self.call_thread();
        }
    }

    fn take_batch(&self) -> Vec<Box<dyn Job>> {
        let mut queue = self.queue.lock();
        let many = queue.jobs.len().min(MAX_BATCH);
        queue
            .jobs
            .drain(..many)
            .filter(|job| !job.is_cancelled())
            .collect()
    }

    fn run_batch(self: &Arc<Self>, database: &mut Option<Database>, mut batch: Vec<Box<dyn Job>>) {
        let closing = batch.iter().position(|job| job.kind() == Kind::Close);
        let after = closing.map(|at| batch.split_off(at)).unwrap_or_default();
        match database {
            Some(database) => database.run_batch(batch, self),
            None => batch.into_iter().for_each(|job| refuse(job, self)),
        }
        let mut after = after.into_iter();
        let Some(mut close) = after.next() else {
            return;
        };
        let Some(mut open) = database.take() else {
            refuse(close, self);
            return after.for_each(|job| refuse(job, self));
        };
        // Behind the close stand only jobs of our own: events that are given back.
        open.run_batch(after.collect(), self);
        self.claims
            .lock()
            .drain(..)
            .filter_map(|claim| claim.upgrade())
            .for_each(|claim| claim.sweep(self));
        loop {
            let own = self.take_batch();
            if own.is_empty() {
                break;
            }
            open.run_batch(own, self);
        }
        let ran = close.run(&mut open);
        open.close();
        close.finish(ran, self);
    }

    fn run(self: Arc<Self>) {
        loop {
            let mut queue = self.queue.lock();
            while queue.jobs.is_empty() {
                if queue.closed {
                    return;
                }
                queue.asleep = true;
                self.called.wait(&mut queue);
                queue.asleep = false;
            }
            drop(queue);
            let database = self.database.lock();
            self.serve(database, || false);
        }
    }
}

fn refuse(job: Box<dyn Job>, writer: &Arc<Shared>) {
    let error = closed(job.op());
    job.finish(Err(error), writer);
}

/// The answer to whatever comes after the close.
pub(crate) fn closed(op: Op) -> Error {
    Error::new(ErrorKind::Closed, op)
        .because("the channel was shut down; open a new one")
        .in_backend(BACKEND)
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("queued", &self.queue.lock().jobs.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
