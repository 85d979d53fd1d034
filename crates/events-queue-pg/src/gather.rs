//! Calls that are under way at the same time share a statement.
//!
//! The first caller does its own work at once. Whoever comes while the server is busy with that
//! waits for the next statement, which then carries all of them: batching without a timer. Only
//! one statement is under way, so calls take effect in the order in which they were made, urgent
//! ones before the others.
//!
//! So many are kept whatever their callers do; beyond that a call is kept for as long as its caller
//! waits, so that those who give up and try again fill no memory while the server is stuck.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use events_core::{Error, ErrorKind, Op, Result};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::tasks::Tasks;
use crate::ticket::Begun;

/// So many calls wait even if their callers stop waiting.
const MOST_KEPT: usize = 8192;
/// So many bytes of events wait even if their callers stop waiting.
const MOST_KEPT_BYTES: usize = 16 * 1024 * 1024;
/// The most bytes of events in one statement, beyond its first call.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// Fewer calls that may be given up are not worth a search.
const FEW: usize = 64;

/// What is done for several callers at once.
pub(crate) trait Shared: Send + Sync + 'static {
    /// What one caller asks.
    type Request: Send + 'static;
    /// What it is answered.
    type Answer: Send + 'static;
    /// More than this much is not done at once, unless one caller alone has more.
    const MOST: usize;
    /// Under which name errors are reported.
    const OP: Op;

    /// How much a request is; `None` for one that must be done alone.
    fn weight(request: &Self::Request) -> Option<usize>;

    /// Whether it goes before everything that waits.
    fn is_urgent(_request: &Self::Request) -> bool {
        false
    }

    /// How much memory a request takes.
    fn bytes(request: &Self::Request) -> usize;

    /// Does it: one answer for each request, or an error for all, of which then none was done.
    fn run(
        &self,
        requests: &[Self::Request],
    ) -> impl Future<Output = Result<Vec<Result<Self::Answer>>>> + Send;
}

/// Gathers the calls of one kind.
pub(crate) struct Gather<S: Shared> {
    work: S,
    queue: Mutex<Queue<S>>,
}

struct Queue<S: Shared> {
    waiting: VecDeque<Job<S>>,
    /// So many of them are urgent and come first.
    urgent: usize,
    bytes: usize,
    /// The calls, and their bytes, that have come since the last search and for which there was no
    /// room.
    crowd: (usize, usize),
    /// Somebody does the work, and will see to what waits.
    served: bool,
}

struct Job<S: Shared> {
    request: S::Request,
    bytes: usize,
    answer: oneshot::Sender<Result<S::Answer>>,
}

impl<S: Shared> Queue<S> {
    /// Adds a call; answers whether there is room for it whatever its caller does.
    fn push(&mut self, job: Job<S>) -> bool {
        let bytes = job.bytes;
        let room = self.waiting.len() < MOST_KEPT && self.bytes + bytes <= MOST_KEPT_BYTES;
        let room = room || self.waiting.is_empty();
        self.bytes += bytes;
        if S::is_urgent(&job.request) {
            self.waiting.insert(self.urgent, job);
            self.urgent += 1;
        } else {
            self.waiting.push_back(job);
        }
        if !room {
            let (calls, more) = self.crowd;
            self.crowd = (calls + 1, more + bytes);
            if calls > FEW.max(self.waiting.len() / 4) || more > MOST_KEPT_BYTES {
                self.sweep();
            }
        }
        room
    }

    /// Takes out what was given up.
    fn sweep(&mut self) {
        self.waiting.retain(|job| !job.is_given_up());
        self.bytes = self.waiting.iter().map(|job| job.bytes).sum();
        let urgent = |job: &&Job<S>| S::is_urgent(&job.request);
        self.urgent = self.waiting.iter().take_while(urgent).count();
        self.crowd = (0, 0);
    }

    fn pop(&mut self) -> Option<Job<S>> {
        let job = self.waiting.pop_front()?;
        self.urgent = self.urgent.saturating_sub(1);
        self.bytes -= job.bytes;
        Some(job)
    }
}

impl<S: Shared> Job<S> {
    /// Its caller has gone, and nothing else waits for the answer.
    fn is_given_up(&self) -> bool {
        self.answer.is_closed()
    }
}

impl<S: Shared> Gather<S> {
    pub(crate) fn new(work: S) -> Arc<Self> {
        Arc::new(Self {
            work,
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                urgent: 0,
                bytes: 0,
                crowd: (0, 0),
                served: false,
            }),
        })
    }

    /// Takes a place in the order of calls; the work is done by awaiting the answer.
    pub(crate) fn ask(
        self: &Arc<Self>,
        tasks: &Arc<Tasks>,
        request: S::Request,
    ) -> Begun<S::Answer> {
        let (answer, answered) = oneshot::channel();
        let job = Job {
            bytes: S::bytes(&request),
            request,
            answer,
        };
        let mut queue = self.queue.lock();
        let kept = queue.push(job);
        let leads = !std::mem::replace(&mut queue.served, true);
        drop(queue);
        let service = leads.then(|| Service {
            gather: Arc::clone(self),
            tasks: Arc::clone(tasks),
            handed_on: false,
        });
        let work = async move {
            if let Some(service) = service {
                service.lead().await;
            }
            answered.await.unwrap_or_else(|_| Err(ended(S::OP)))
        };
        Begun {
            work: Box::pin(work),
            kept,
        }
    }

    /// What can be done at once; `None` when nothing waits and the service ends.
    fn next(&self) -> Option<Vec<Job<S>>> {
        let mut queue = self.queue.lock();
        let (mut jobs, mut total, mut bytes) = (Vec::new(), 0, 0);
        while let Some(job) = queue.waiting.front() {
            if job.is_given_up() {
                let _ = queue.pop();
                continue;
            }
            let weight = S::weight(&job.request);
            total += weight.unwrap_or(S::MOST);
            bytes += job.bytes;
            let full = weight.is_none() || total > S::MOST || bytes > MOST_BYTES;
            if full && !jobs.is_empty() {
                break;
            }
            jobs.extend(queue.pop());
            if weight.is_none() {
                break;
            }
        }
        queue.served = !jobs.is_empty();
        queue.served.then_some(jobs)
    }

    async fn serve(&self, jobs: Vec<Job<S>>) {
        let (requests, answers): (Vec<_>, Vec<_>) = jobs
            .into_iter()
            .map(|job| (job.request, job.answer))
            .unzip();
        match self.work.run(&requests).await {
            Ok(done) => {
                for (answer, done) in answers.into_iter().zip(done) {
                    // One that does not wait any more was dropped together with its caller.
                    let _ = answer.send(done);
                }
            }
            // Refused together; it may be that only one of them is to blame.
            Err(error) if requests.len() > 1 && !error.is_retryable() => {
                for (request, answer) in requests.into_iter().zip(answers) {
                    let done = self.work.run(std::slice::from_ref(&request)).await;
                    let done =
                        done.and_then(|mut done| done.pop().unwrap_or_else(|| Err(ended(S::OP))));
                    let _ = answer.send(done);
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }
}

/// Does the work as long as there is any. Should it end before, as it does with its runtime,
/// those who wait are told.
struct Service<S: Shared> {
    gather: Arc<Gather<S>>,
    tasks: Arc<Tasks>,
    handed_on: bool,
}

impl<S: Shared> Service<S> {
    /// Does the work of the caller; what came meanwhile goes on in a task of its own, so that the
    /// caller is not kept.
    async fn lead(mut self) {
        if let Some(jobs) = self.gather.next() {
            self.gather.serve(jobs).await;
        }
        let Some(jobs) = self.gather.next() else {
            self.handed_on = true;
            return;
        };
        let rest = Self {
            gather: Arc::clone(&self.gather),
            tasks: Arc::clone(&self.tasks),
            handed_on: false,
        };
        self.handed_on = true;
        let tasks = Arc::clone(&self.tasks);
        tasks.spawn(rest.go_on(jobs));
    }

    async fn go_on(mut self, mut jobs: Vec<Job<S>>) {
        loop {
            self.gather.serve(jobs).await;
            match self.gather.next() {
                Some(next) => jobs = next,
                None => break,
            }
        }
        self.handed_on = true;
    }
}

impl<S: Shared> Drop for Service<S> {
    fn drop(&mut self) {
        if !self.handed_on {
            let mut queue = self.gather.queue.lock();
            queue.served = false;
            // Their senders go with them, which tells their callers.
            queue.waiting.clear();
            queue.urgent = 0;
            queue.bytes = 0;
        }
    }
}

impl<S: Shared> fmt::Debug for Gather<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather")
            .field("waiting", &self.queue.lock().waiting.len())
            .finish_non_exhaustive()
    }
}

fn ended(op: Op) -> Error {
    Error::new(ErrorKind::Closed, op)
        .because("the runtime that the channel was opened on has ended")
}
