//! One writer for each database: group commit, led by its thread or by a caller that may block.
//!
//! Jobs are queued; whoever gets the database runs everything queued as one transaction and
//! answers only after its COMMIT. There is no timer: the flush of one batch is the window in
//! which the next one gathers.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};

use events_core::{Error, ErrorKind, Op, Pending, Result};
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
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Box<dyn Job>>,
    closed: bool,
    asleep: bool,
    /// The thread has ended; nobody would do a job any more.
    ended: bool,
}

/// Owns the writer's thread; the thread ends with it.
pub(crate) struct Writer(Arc<Shared>);

impl Writer {
    /// Starts the thread that leads for async callers.
    pub(crate) fn start(database: Database) -> Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            called: Condvar::new(),
            claims: Mutex::default(),
            database: Mutex::new(Some(database)),
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

    /// Runs what is queued, then closes the database. Later jobs answer `Closed`; a second close
    /// is answered when the first one is through.
    pub(crate) fn close(&self) -> Pending<()> {
        let mut queue = self.0.queue.lock();
        if queue.ended {
            return Pending::ready(Ok(()));
        }
        queue.closed = true;
        let mut closing = self
            .0
            .push(queue, Kind::Close, Op::Shutdown, None, |_| Ok(()));
        closing.start();
        // Like everything that comes after the close, it is told that the database is closed.
        closing.then(|answer| match answer {
            Err(error) if error.kind() != ErrorKind::Closed => Err(error),
            _ => Ok(()),
        })
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
        let queue = self.queue.lock();
        if queue.ended || queue.closed && kind != Kind::Release {
            return Pending::ready(Err(closed(op)));
        }
        self.push(queue, kind, op, salvage, run)
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
        let mut closes = take_closes(&mut batch);
        match database {
            Some(database) => database.run_batch(batch, self),
            None => batch.into_iter().for_each(|job| refuse(job, self)),
        }
        if closes.is_empty() {
            return;
        }
        if let Some(mut open) = database.take() {
            self.claims
                .lock()
                .drain(..)
                .filter_map(|claim| claim.upgrade())
                .for_each(|claim| claim.sweep(self));
            // Events that are given back may still come.
            loop {
                let mut own = self.take_batch();
                if own.is_empty() {
                    break;
                }
                closes.append(&mut take_closes(&mut own));
                open.run_batch(own, self);
            }
            open.close();
        }
        closes.into_iter().for_each(|close| refuse(close, self));
    }

    fn run(self: Arc<Self>) {
        loop {
            let mut queue = self.queue.lock();
            while queue.jobs.is_empty() && !queue.closed {
                queue.asleep = true;
                self.called.wait(&mut queue);
                queue.asleep = false;
            }
            drop(queue);
            // A caller may lead the close: it is over when the database is free.
            let database = self.database.lock();
            self.serve(database, || false);
            let mut queue = self.queue.lock();
            if queue.closed && queue.jobs.is_empty() {
                queue.ended = true;
                return;
            }
        }
    }
}

fn take_closes(batch: &mut Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
    batch
        .extract_if(.., |job| job.kind() == Kind::Close)
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SqliteConfig;
    use crate::bell::Watch;
    use crate::open::{connect, database};
    use events_core::block_on_until;
    use std::task::{Context, Poll, Wake, Waker};
    use std::time::{Duration, Instant};

    fn writer(config: &SqliteConfig) -> Writer {
        let connection = connect(config).unwrap();
        Writer::start(database(connection, config, Watch::new)).unwrap()
    }

    fn answer<T: Send + 'static>(pending: Pending<T>) -> Result<T> {
        let limit = Instant::now() + Duration::from_secs(30);
        block_on_until(pending, Some(limit)).expect("the writer answers")
    }

    /// A job that holds the database until the sender is dropped.
    fn held_up(writer: &Writer) -> (std::sync::mpsc::Sender<()>, Pending<()>) {
        let (free, wait) = std::sync::mpsc::channel::<()>();
        let mut job = writer.submit(Kind::Read, Op::Admin, move |_| {
            let _ = wait.recv();
            Ok(())
        });
        job.start();
        (free, job)
    }

    #[test]
    fn every_close_is_answered_after_the_database_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let config = SqliteConfig::file(folder.path().join("app.db"));
        let writer = writer(&config);
        let log = folder.path().join("app.db-wal");
        answer(writer.submit(Kind::Publish, Op::Admin, |db| {
            let made = db.connection.execute_batch("CREATE TABLE t (a)");
            made.map_err(|e| crate::error::sqlite(Op::Admin, e))
        }))
        .unwrap();
        assert!(log.exists());
        let (free, job) = held_up(&writer);
        let first = writer.close();
        let mut second = writer.close();
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(
            std::pin::Pin::new(&mut second)
                .poll(&mut nobody)
                .is_pending()
        );
        drop(first);
        drop(free);
        answer(second).unwrap();
        assert!(!log.exists(), "the last connection to be closed removes it");
        answer(job).unwrap();
        answer(writer.close()).unwrap();
    }

    #[test]
    fn what_comes_after_the_close_is_answered() {
        let writer = writer(&SqliteConfig::memory());
        writer.close().wait().unwrap();
        for late in [
            writer.submit(Kind::Read, Op::Admin, |_| Ok(())),
            writer.submit(Kind::Release, Op::Claim, |_| Ok(())),
        ] {
            assert_eq!(answer(late).unwrap_err().kind(), ErrorKind::Closed);
        }
    }

    struct Panicking;

    impl Wake for Panicking {
        fn wake(self: Arc<Self>) {
            panic!("a waker panics, as the test wants it");
        }
    }

    #[test]
    fn a_waker_that_panics_takes_no_other_answer_with_it() {
        let writer = writer(&SqliteConfig::memory());
        let (free, held) = held_up(&writer);
        let mut first = writer.submit(Kind::Settle, Op::Ack, |_| Ok(1));
        let second = writer.submit(Kind::Settle, Op::Ack, |_| Ok(2));
        let waker = Waker::from(Arc::new(Panicking));
        let polled = std::pin::Pin::new(&mut first).poll(&mut Context::from_waker(&waker));
        assert!(matches!(polled, Poll::Pending));
        drop(free);
        assert_eq!(answer(second).unwrap(), 2);
        assert_eq!(answer(first).unwrap(), 1);
        answer(held).unwrap();
        assert_eq!(
            answer(writer.submit(Kind::Read, Op::Admin, |_| Ok(3))).unwrap(),
            3
        );
    }
}
