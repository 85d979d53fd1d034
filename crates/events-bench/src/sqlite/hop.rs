//! The bare hop: what an async caller cannot avoid when a driver blocks.
//!
//! A channel to a thread, the raw statement there, a oneshot back; nothing else.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use event_channels::Durability;
use tokio::sync::oneshot;

use super::raw::{Raw, RawHeld, connect};
use crate::case::Result;

enum Job {
    Insert(String, oneshot::Sender<Result<()>>),
    Claim(i64, oneshot::Sender<Result<Vec<RawHeld>>>),
    Ack(RawHeld, oneshot::Sender<Result<()>>),
}

/// A thread with a raw connection, which ends with this.
pub(crate) struct Hop {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Hop {
    pub(crate) fn start(path: &Path, durability: Durability, retention: Duration) -> Self {
        let (jobs, queue) = channel();
        let path = path.to_owned();
        let thread = thread::spawn(move || {
            // Callers see that their answer does not come.
            let _ = serve(&path, durability, retention, &queue);
        });
        Self {
            jobs: Some(jobs),
            thread: Some(thread),
        }
    }

    pub(crate) async fn insert(&self, payload: String) -> Result<()> {
        self.ask(|answer| Job::Insert(payload, answer)).await
    }

    pub(crate) async fn claim(&self, limit: i64) -> Result<Vec<RawHeld>> {
        self.ask(|answer| Job::Claim(limit, answer)).await
    }

    pub(crate) async fn ack(&self, held: RawHeld) -> Result<()> {
        self.ask(|answer| Job::Ack(held, answer)).await
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T>>) -> Job) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or("the thread was ended")?;
        jobs.send(job(answer)).map_err(|_| "the thread has ended")?;
        answered.await?
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    path: &Path,
    durability: Durability,
    retention: Duration,
    queue: &Receiver<Job>,
) -> Result<()> {
    let connection = connect(path, durability)?;
    let mut raw = Raw::prepare(&connection)?;
    for job in queue {
        // A caller that has gone wants no answer.
        match job {
            Job::Insert(payload, answer) => drop(answer.send(raw.insert(&payload))),
            Job::Claim(limit, answer) => {
                let mut held = Vec::new();
                let claimed = raw.claim(limit, &mut held);
                drop(answer.send(claimed.map(|()| held)));
            }
            Job::Ack(held, answer) => drop(answer.send(raw.ack(&held, retention))),
        }
    }
    Ok(())
}
