//! Sends events in the order in which they were published.
//!
//! A task that lives while there is work sends everything that waits as one statement, then what
//! has come meanwhile. So one publisher waits for one round trip, and many share each.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use event_listener::Event;
use events_core::telemetry::Count;
use events_core::{ChannelName, Error, ErrorKind, EventId, Meters, Op, Result};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, GenericClient};

use crate::error::{BACKEND, driver, pool};
use crate::handover::Handover;
use crate::spill::SpillTable;
use crate::sql::{Hidden, NOTIFY, NOTIFY_MANY};

/// Events of this many jobs at most share a statement, unless one job alone has more.
const STATEMENT_EVENTS: usize = 1_000;
/// A statement that is not answered by then will not be.
const PATIENCE: Duration = Duration::from_secs(30);

/// An event, ready to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) channel: ChannelName,
    pub(crate) id: EventId,
    pub(crate) text: Arc<str>,
    /// What goes to the table, and the text says so.
    pub(crate) spilled: Option<String>,
}

/// The events of one call: sent together or not at all.
struct Job {
    events: Vec<Outgoing>,
    asked: Instant,
    answer: oneshot::Sender<Result<()>>,
}

pub(crate) struct Publisher {
    pool: Pool,
    runtime: Handle,
    meters: Arc<Meters>,
    handover: Arc<Handover>,
    pub(crate) spill: Option<Arc<SpillTable>>,
    queue: Mutex<Queue>,
    /// Rung when nothing is left to send.
    idle: Event,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Whether a task takes care of the jobs.
    served: bool,
}

impl Publisher {
    pub(crate) fn new(
        pool: Pool,
        runtime: Handle,
        meters: Arc<Meters>,
        handover: Arc<Handover>,
        spill: Option<Arc<SpillTable>>,
    ) -> Self {
        Self {
            pool,
            runtime,
            meters,
            handover,
            spill,
            queue: Mutex::default(),
            idle: Event::new(),
        }
    }

    /// Queues events; what was queued is sent, whether anybody waits for the answer or not.
    pub(crate) fn send(self: &Arc<Self>, events: Vec<Outgoing>) -> oneshot::Receiver<Result<()>> {
        for event in &events {
            self.handover.sending(&event.channel, event.id, &event.text);
        }
        let (answer, answered) = oneshot::channel();
        let job = Job {
            events,
            asked: Instant::now(),
            answer,
        };
        let mut queue = self.queue.lock();
        queue.jobs.push_back(job);
        let served = std::mem::replace(&mut queue.served, true);
        drop(queue);
        if !served {
            let service = Service {
                publisher: Arc::clone(self),
                finished: false,
            };
            self.runtime.spawn(service.run());
        }
        answered
    }

    /// Waits until everything that was queued is sent.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.idle.listen();
            if !self.queue.lock().served {
                return;
            }
            idle.await;
        }
    }

    /// A connection of the pool.
    pub(crate) async fn connection(&self, op: Op) -> Result<Object> {
        self.pool.get().await.map_err(|error| pool(op, error))
    }

    /// Cleans the table of spilled events if it is time, beside everything else.
    pub(crate) fn clean_spilled(self: &Arc<Self>) {
        let Some(table) = self.spill.as_ref().filter(|table| table.is_dirty()) else {
            return;
        };
        let (table, publisher) = (Arc::clone(table), Arc::clone(self));
        self.runtime.spawn(async move {
            match table.clean(&publisher).await {
                Ok(rows) => tracing::debug!(rows, "spilled events were removed"),
                Err(error) => tracing::warn!(%error, "spilled events cannot be removed"),
            }
        });
    }

    /// Jobs that can share a statement; `None` when there are none and the service ends.
    fn next_jobs(&self) -> Option<Vec<Job>> {
        let mut queue = self.queue.lock();
        let mut jobs = Vec::new();
        let mut events = 0;
        while let Some(job) = queue.jobs.front() {
            events += job.events.len();
            if events > STATEMENT_EVENTS && !jobs.is_empty() {
                break;
            }
            jobs.extend(queue.jobs.pop_front());
        }
        queue.served = !jobs.is_empty();
        queue.served.then_some(jobs)
    }

    fn answer(&self, job: Job, outcome: Result<()>) {
        let ids: Vec<_> = job.events.iter().map(|event| event.id).collect();
        self.handover.sent(&ids, outcome.is_ok());
        if outcome.is_ok() {
            count(&self.meters, &job.events, job.asked.elapsed());
        }
        // Nobody may wait for it any more.
        let _ = job.answer.send(outcome);
    }
}

/// Counts events that were sent, and how long their caller waited for it.
pub(crate) fn count(meters: &Meters, events: &[Outgoing], took: Duration) {
    let mut rest = events;
    while let Some(first) = rest.first() {
        let others = rest.iter().position(|event| event.channel != first.channel);
        let (same, more) = rest.split_at(others.unwrap_or(rest.len()));
        let meter = meters.of(&first.channel);
        meter.add(Count::PublishNative, same.len() as u64);
        meter.publish_took(took);
        meter.batch(same.len());
        rest = more;
    }
}

/// The task. Should it end before its work, as it does with its runtime, the next job starts
/// another, and whoever waits is told.
struct Service {
    publisher: Arc<Publisher>,
    finished: bool,
}

impl Drop for Service {
    fn drop(&mut self) {
        if !self.finished {
            let mut queue = self.publisher.queue.lock();
            queue.served = false;
            queue.jobs.clear();
        }
        self.publisher.idle.notify(usize::MAX);
    }
}

impl Service {
    async fn run(mut self) {
        while let Some(jobs) = self.publisher.next_jobs() {
            match self.send(&jobs).await {
                Ok(()) => {
                    for job in jobs {
                        self.publisher.answer(job, Ok(()));
                    }
                }
                // The server refused them together, so it has taken none; it may mind only one.
                Err(error) if jobs.len() > 1 && !error.is_retryable() => {
                    for job in jobs {
                        let outcome = self.send(std::slice::from_ref(&job)).await;
                        self.publisher.answer(job, outcome);
                    }
                }
                Err(error) => {
                    for job in jobs {
                        self.publisher.answer(job, Err(error.clone()));
                    }
                }
            }
        }
        self.finished = true;
    }

    /// Sends the events of these jobs as one statement.
    async fn send(&self, jobs: &[Job]) -> Result<()> {
        let connection = self.publisher.connection(Op::Publish).await?;
        let events: Vec<&Outgoing> = jobs.iter().flat_map(|job| &job.events).collect();
        let client: &Client = &connection;
        let spill = self.publisher.spill.as_deref();
        let sending = send_on(client, &events, spill);
        match tokio::time::timeout(PATIENCE, sending).await {
            Ok(Ok(())) => {
                if events.iter().any(|event| event.spilled.is_some()) {
                    self.publisher.clean_spilled();
                }
                Ok(())
            }
            Ok(Err(error)) => Err(driver(Op::Publish, error)),
            Err(_) => {
                // The statement may still run, so nobody else may have the connection.
                drop(Object::take(connection));
                Err(Error::new(ErrorKind::Timeout, Op::Publish)
                    .because(format!(
                        "the server did not answer within {PATIENCE:?}; the events may have been sent"
                    ))
                    .in_backend(BACKEND))
            }
        }
    }
}

/// Sends events as one statement: all of them or none.
///
/// Without a prepared statement: a proxy may give each transaction another server connection.
pub(crate) async fn send_on(
    client: &impl GenericClient,
    events: &[&Outgoing],
    spill: Option<&SpillTable>,
) -> std::result::Result<(), tokio_postgres::Error> {
    let (mut ids, mut envelopes) = (Vec::new(), Vec::new());
    for event in events {
        if let Some(envelope) = &event.spilled {
            ids.push(event.id.to_string());
            envelopes.push(envelope.as_str());
        }
    }
    if let [event] = events
        && ids.is_empty()
    {
        let channel = Hidden(event.channel.as_str());
        let text = Hidden(&*event.text);
        let parameters: [(&(dyn ToSql + Sync), Type); 2] =
            [(&channel, Type::TEXT), (&text, Type::TEXT)];
        client.execute_typed(NOTIFY, &parameters).await?;
        return Ok(());
    }
    let channels: Vec<&str> = events.iter().map(|event| event.channel.as_str()).collect();
    let texts: Vec<&str> = events.iter().map(|event| &*event.text).collect();
    let (channels, texts) = (Hidden(channels), Hidden(texts));
    let (ids, envelopes) = (Hidden(ids), Hidden(envelopes));
    let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
        (&channels, Type::TEXT_ARRAY),
        (&texts, Type::TEXT_ARRAY),
        (&ids, Type::TEXT_ARRAY),
        (&envelopes, Type::TEXT_ARRAY),
    ];
    match spill {
        Some(table) if !ids.0.is_empty() => {
            client.execute_typed(&table.notify, &parameters).await?;
        }
        _ => {
            client.execute_typed(NOTIFY_MANY, &parameters[..2]).await?;
        }
    }
    Ok(())
}
