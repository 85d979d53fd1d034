//! Leading: whoever has the database runs everything that waits, batch by batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use crate::database::Database;
use crate::job::Job;
use crate::queue::Batch;
use crate::writer::{Shared, closed};

/// How long the writer's thread stays awake for the next caller at least: about as long as it takes
/// to wake a thread, so that it costs no more than it can save.
const AWAKE: Duration = Duration::from_micros(100);
/// And at most. Between them it is as long as it last had work: who waited for a flush has slept
/// meanwhile, and takes longer to come again.
const AWAKE_AT_MOST: Duration = Duration::from_micros(250);

const LOOK_WHETHER_STOPPED: Duration = Duration::from_millis(20);

impl Shared {
    /// Wakes the writer's thread if it sleeps; if it does not, it looks at the queue again anyway.
    pub(crate) fn call_thread(&self) {
        self.wanted.store(true, Ordering::SeqCst);
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

    /// Does `work` while nobody leads: after the batch of whoever does, however long that takes.
    /// Not at all after the close, and when `stop` is set meanwhile.
    pub(crate) fn while_paused<T>(
        self: &Arc<Self>,
        stop: &AtomicBool,
        work: impl FnOnce() -> T,
    ) -> Option<T> {
        self.pause_wanted.store(true, Ordering::SeqCst);
        let database = loop {
            // Whoever closes holds the database, and waits for the caller of this to stop.
            let free = self.database.try_lock_for(LOOK_WHETHER_STOPPED);
            if free.is_some() || stop.load(Ordering::SeqCst) {
                break free;
            }
        };
        self.pause_wanted.store(false, Ordering::SeqCst);
        let database = database?;
        let done = database.is_some().then(work);
        self.let_go(database);
        done
    }

    /// Runs batches until nothing waits, or `done`, or somebody wants a pause.
    fn serve(
        self: &Arc<Self>,
        mut database: MutexGuard<'_, Option<Database>>,
        done: impl Fn() -> bool,
    ) {
        loop {
            let batch = self.queue.lock().jobs.take_batch();
            match batch {
                Batch::Jobs(jobs) => self.run_batch(&mut database, jobs),
                Batch::Closes(closes) => self.close_database(&mut database, closes),
                Batch::Nothing => break,
            }
            if done() || self.pause_wanted.load(Ordering::SeqCst) {
                break;
            }
        }
        self.let_go(database);
    }

    /// Lets the database go. What was queued meanwhile is left to the thread.
    fn let_go(&self, database: MutexGuard<'_, Option<Database>>) {
        if self.pause_wanted.load(Ordering::SeqCst) {
            MutexGuard::unlock_fair(database);
        } else {
            drop(database);
        }
        let queue = self.queue.lock();
        let left = queue.asleep && !queue.jobs.is_empty();
        drop(queue);
        if left {
            self.call_thread();
        }
    }

    fn run_batch(self: &Arc<Self>, database: &mut Option<Database>, jobs: Vec<Box<dyn Job>>) {
        match database {
            Some(database) => database.run_batch(jobs, self),
            None => jobs.into_iter().for_each(|job| refuse(job, self)),
        }
    }

    fn close_database(
        self: &Arc<Self>,
        database: &mut Option<Database>,
        mut closes: Vec<Box<dyn Job>>,
    ) {
        if let Some(mut open) = database.take() {
            let standing = self.standing.lock().drain();
            standing.into_iter().for_each(|claim| refuse(claim, self));
            self.claims
                .lock()
                .drain(..)
                .filter_map(|claim| claim.upgrade())
                .for_each(|claim| claim.sweep(self));
            // Events that are given back may still come.
            loop {
                let batch = self.queue.lock().jobs.take_batch();
                match batch {
                    Batch::Jobs(own) => open.run_batch(own, self),
                    Batch::Closes(more) => closes.extend(more),
                    Batch::Nothing => break,
                }
            }
            // Its connection goes first, so that ours, the last one, removes the log.
            drop(self.upkeep.lock().take());
            open.close();
        }
        closes.into_iter().for_each(|close| refuse(close, self));
    }

    /// Looks for a moment whether the next caller comes, which saves it from waking a thread. Only
    /// after one that came as soon, so that a thread with little to do sleeps at once.
    fn stay_awake(&self, since: Instant, at_most: Duration) {
        while !self.wanted.load(Ordering::SeqCst) && since.elapsed() < at_most {
            std::thread::yield_now();
        }
    }

    /// The writer's thread: leads for callers that do not block.
    pub(crate) fn run(self: Arc<Self>) {
        let (mut brisk, mut awake) = (false, AWAKE);
        loop {
            let since = Instant::now();
            if brisk {
                self.stay_awake(since, awake);
            }
            let mut queue = self.queue.lock();
            while queue.jobs.is_empty() && !queue.closed {
                queue.asleep = true;
                self.called.wait(&mut queue);
                queue.asleep = false;
            }
            drop(queue);
            self.wanted.store(false, Ordering::SeqCst);
            brisk = since.elapsed() < awake;
            // A caller may lead the close: it is over when the database is free.
            let database = self.database.lock();
            let begun = Instant::now();
            self.serve(database, || false);
            awake = begun.elapsed().clamp(AWAKE, AWAKE_AT_MOST);
            let mut queue = self.queue.lock();
            if queue.closed && queue.jobs.is_empty() {
                queue.ended = true;
                return;
            }
        }
    }
}

fn refuse(job: Box<dyn Job>, writer: &Arc<Shared>) {
    let error = closed(job.op());
    job.finish(Err(error), writer);
}
