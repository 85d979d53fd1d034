//! One writer for each database: group commit, led by its thread or by a caller that may block.
//!
//! Jobs are queued; whoever gets the database runs everything queued as one transaction and
//! answers only after its COMMIT. There is no timer: the flush of one batch is the window in
//! which the next one gathers.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use events_core::{Error, ErrorKind, Op, Pending, Result};
use parking_lot::{Condvar, Mutex};

use crate::SqliteConfig;
use crate::database::Database;
use crate::error::BACKEND;
use crate::job::{Kind, Terms, Work};
use crate::queue::JobQueue;
use crate::standing::Standing;
use crate::ticket::{Slot, Sweep, Ticket};
use crate::upkeep::Upkeep;

/// The queue of jobs and the database they are run on.
pub(crate) struct Shared {
    pub(crate) queue: Mutex<Queue>,
    /// The thread sleeps here.
    pub(crate) called: Condvar,
    /// The thread is wanted; it looks here for a moment before it sleeps.
    pub(crate) wanted: AtomicBool,
    /// Claims whose answer may not have been taken yet.
    pub(crate) claims: Mutex<Vec<Weak<dyn Sweep>>>,
    pub(crate) standing: Mutex<Standing>,
    /// Held by whoever leads; `None` after close.
    pub(crate) database: Mutex<Option<Database>>,
    /// Whoever leads lets the database go after the present batch.
    pub(crate) pause_wanted: AtomicBool,
    pub(crate) upkeep: Mutex<Option<Upkeep>>,
}

#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) jobs: JobQueue,
    pub(crate) closed: bool,
    pub(crate) asleep: bool,
    /// The thread has ended; nobody would do a job any more.
    pub(crate) ended: bool,
}

/// Owns the writer's thread; the thread ends with it.
pub(crate) struct Writer(Arc<Shared>);

impl Writer {
    /// Starts the thread that leads for async callers.
    pub(crate) fn start(database: Database, config: &SqliteConfig) -> Result<Self> {
        let no_thread = |e| {
            Error::new(ErrorKind::Unavailable, Op::Open)
                .because("no thread can be started")
                .caused_by(e)
        };
        let log = database.log().cloned();
        let identity = database.identity().cloned();
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            called: Condvar::new(),
            wanted: AtomicBool::new(false),
            claims: Mutex::default(),
            standing: Mutex::default(),
            database: Mutex::new(Some(database)),
            pause_wanted: AtomicBool::new(false),
            upkeep: Mutex::default(),
        });
        if let Some(log) = log {
            let upkeep =
                Upkeep::start(&shared, log, config.clone(), identity).map_err(no_thread)?;
            *shared.upkeep.lock() = Some(upkeep);
        }
        let thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("events-sqlite".to_owned())
            .spawn(move || thread.run())
            .map_err(no_thread)?;
        Ok(Self(shared))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Queues a job.
    pub(crate) fn submit<T, F>(&self, terms: Terms<T>, run: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Database) -> Result<T> + Send + 'static,
    {
        self.0.submit(terms, run)
    }

    /// Runs what is queued, then closes the database. Later jobs answer `Closed`; a second close
    /// is answered when the first one is through.
    pub(crate) fn close(&self) -> Pending<()> {
        let mut queue = self.0.queue.lock();
        if queue.ended {
            return Pending::ready(Ok(()));
        }
        queue.closed = true;
        let slot = Slot::new(None);
        let close = Work::new(
            &Terms::new(Kind::Close, Op::Shutdown),
            |_: &mut Database| Ok(()),
            Arc::clone(&slot),
        );
        queue.jobs.push_close(Box::new(close));
        drop(queue);
        let mut closing = Pending::started(Ticket::new(slot, Arc::clone(&self.0)));
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
    pub(crate) fn submit<T, F>(self: &Arc<Self>, terms: Terms<T>, run: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Database) -> Result<T> + Send + 'static,
    {
        let slot = Slot::new(terms.salvage);
        let job = Box::new(Work::new(&terms, run, Arc::clone(&slot)));
        let mut queue = self.queue.lock();
        if queue.ended || queue.closed && terms.kind != Kind::Release {
            return Pending::ready(Err(closed(terms.op)));
        }
        if terms.salvage.is_some() {
            self.note_claim(&slot);
        }
        if queue.jobs.push(job) {
            slot.admit();
        }
        drop(queue);
        Pending::started(Ticket::new(slot, Arc::clone(self)))
    }

    /// Has a claim stand at a queue until a transaction stores something for it.
    pub(crate) fn stand<T, F>(
        self: &Arc<Self>,
        queue_id: i64,
        terms: Terms<T>,
        run: F,
    ) -> Pending<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Database) -> Result<T> + Send + 'static,
    {
        let slot = Slot::new(terms.salvage);
        let job = Box::new(Work::new(&terms, run, Arc::clone(&slot)));
        // Held while the claim takes its place, so that a close cannot miss it.
        let queue = self.queue.lock();
        if queue.closed {
            return Pending::ready(Err(closed(terms.op)));
        }
        self.note_claim(&slot);
        let ticket = Ticket::standing(slot, Arc::clone(self), queue_id);
        self.standing.lock().push(queue_id, job);
        drop(queue);
        Pending::started(ticket)
    }

    fn note_claim<T: Send + 'static>(&self, slot: &Arc<Slot<T>>) {
        let mut claims = self.claims.lock();
        claims.retain(|claim| claim.strong_count() > 0);
        let claim: Weak<dyn Sweep> = Arc::downgrade(&(Arc::clone(slot) as Arc<dyn Sweep>));
        claims.push(claim);
    }
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
    use crate::bell::Watch;
    use crate::open::{connect, database};
    use crate::queue::{MAX_ADMITTED, MAX_ADMITTED_BYTES};
    use events_core::block_on_until;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};
    use std::time::{Duration, Instant};

    fn writer(config: &SqliteConfig) -> Writer {
        let connection = connect(config).unwrap();
        Writer::start(database(connection, config, Watch::new).unwrap(), config).unwrap()
    }

    fn answer<T: Send + 'static>(pending: Pending<T>) -> Result<T> {
        let limit = Instant::now() + Duration::from_secs(30);
        block_on_until(pending, Some(limit)).expect("the writer answers")
    }

    /// A job that holds the database, from now on until the sender is dropped.
    fn held_up(writer: &Writer) -> (std::sync::mpsc::Sender<()>, Pending<()>) {
        let (free, wait) = std::sync::mpsc::channel::<()>();
        let (begin, began) = std::sync::mpsc::channel();
        let mut job = writer.submit(Terms::new(Kind::Read, Op::Admin), move |_| {
            let _ = begin.send(());
            let _ = wait.recv();
            Ok(())
        });
        job.start();
        began.recv().unwrap();
        (free, job)
    }

    #[test]
    fn every_close_is_answered_after_the_database_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let config = SqliteConfig::file(folder.path().join("app.db"));
        let writer = writer(&config);
        let log = folder.path().join("app.db-wal");
        answer(writer.submit(Terms::new(Kind::Publish, Op::Admin), |db| {
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
            writer.submit(Terms::new(Kind::Read, Op::Admin), |_| Ok(())),
            writer.submit(Terms::new(Kind::Release, Op::Claim), |_| Ok(())),
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
        let mut first = writer.submit(Terms::new(Kind::Settle, Op::Ack), |_| Ok(1));
        let second = writer.submit(Terms::new(Kind::Settle, Op::Ack), |_| Ok(2));
        let waker = Waker::from(Arc::new(Panicking));
        let polled = std::pin::Pin::new(&mut first).poll(&mut Context::from_waker(&waker));
        assert!(matches!(polled, Poll::Pending));
        drop(free);
        assert_eq!(answer(second).unwrap(), 2);
        assert_eq!(answer(first).unwrap(), 1);
        answer(held).unwrap();
        assert_eq!(
            answer(writer.submit(Terms::new(Kind::Read, Op::Admin), |_| Ok(3))).unwrap(),
            3
        );
    }

    /// A publish of this size that is asked for and then given up.
    fn publish(writer: &Writer, bytes: usize, done: &Arc<AtomicUsize>) -> Pending<()> {
        let done = Arc::clone(done);
        let terms = Terms::new(Kind::Publish, Op::Publish).bytes(bytes);
        let mut publish = writer.submit(terms, move |_| {
            done.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(
            std::pin::Pin::new(&mut publish)
                .poll(&mut nobody)
                .is_pending()
        );
        publish
    }

    /// Callers that give up and try again while the database is stuck fill no memory, and what was
    /// let in is done all the same.
    #[test]
    fn publishes_that_nobody_waits_for_are_bounded() {
        let few = (100, MAX_ADMITTED_BYTES / 10, 10);
        for (calls, bytes, most) in [few, (50_000, 100, MAX_ADMITTED)] {
            let writer = writer(&SqliteConfig::memory());
            let (free, held) = held_up(&writer);
            let done = Arc::new(AtomicUsize::new(0));
            for _ in 0..calls {
                drop(publish(&writer, bytes, &done));
                let waiting = writer.0.queue.lock().jobs.len();
                assert!(waiting <= 2 * most + 200, "{waiting} jobs are kept");
            }
            let waited_for = publish(&writer, bytes, &done);
            drop(free);
            answer(held).unwrap();
            answer(waited_for).unwrap();
            let done = done.load(Ordering::SeqCst);
            assert!((most..=most + 1).contains(&done), "{done} were done");
        }
    }

    /// Neither a caller that leads nor a task is stuck when there is no room.
    #[test]
    fn without_room_callers_that_block_and_tasks_are_served() {
        let writer = Arc::new(writer(&SqliteConfig::memory()));
        let done = Arc::new(AtomicUsize::new(0));
        let (free, held) = held_up(&writer);
        let abandoned = (0..20).map(|_| publish(&writer, MAX_ADMITTED_BYTES / 10, &done));
        let kept: Vec<_> = abandoned.collect();
        let blocking = std::thread::spawn({
            let writer = Arc::clone(&writer);
            move || {
                let terms = Terms::new(Kind::Publish, Op::Publish).bytes(MAX_ADMITTED_BYTES);
                writer.submit(terms, |_| Ok(7)).wait()
            }
        });
        drop(free);
        answer(held).unwrap();
        assert_eq!(blocking.join().unwrap().unwrap(), 7);
        kept.into_iter()
            .for_each(|publish| answer(publish).unwrap());
        assert_eq!(done.load(Ordering::SeqCst), 20);
    }
}
