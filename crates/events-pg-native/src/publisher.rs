//! Sends events in the order in which they were published.
//!
//! Whoever waits for a publish does the work: it sends everything that waits as one statement, then
//! what has come meanwhile. So one publisher waits for one round trip and no change of task, and
//! many share each. Work that nobody waits for is handed to a task.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object, Pool};
use events_core::telemetry::Count;
use events_core::{ChannelName, Error, ErrorKind, EventId, Meters, Op, Result};
use futures_util::FutureExt as _;
use futures_util::future::Shared;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, GenericClient};

use crate::error::{BACKEND, driver, pool};
use crate::handover::Handover;
use crate::sessions::Sessions;
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
    pub(crate) sessions: Sessions,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Takes care of the jobs for as long as there are any.
    service: Option<Serving>,
}

/// The service, which everybody who waits for it can drive: each of them is woken, so none depends
/// on another to go on polling.
pub(crate) type Serving = Shared<Pin<Box<dyn Future<Output = ()> + Send>>>;

impl Publisher {
    pub(crate) fn new(
        pool: Pool,
        runtime: Handle,
        meters: Arc<Meters>,
        handover: Arc<Handover>,
        spill: Option<Arc<SpillTable>>,
        sessions: Sessions,
    ) -> Self {
        Self {
            pool,
            runtime,
            meters,
            handover,
            spill,
            sessions,
            queue: Mutex::default(),
        }
    }

    /// Queues events; they are sent when somebody drives [`Publisher::service`].
    pub(crate) fn queue(self: &Arc<Self>, events: Vec<Outgoing>) -> oneshot::Receiver<Result<()>> {
        for event in &events {
            self.handover.sending(&event.channel, event.id, &event.text);
        }
        let (answer, answered) = oneshot::channel();
        let job = Job {
            events,
            asked: Instant::now(),
            answer,
        };
        self.queue.lock().jobs.push_back(job);
        answered
    }

    /// What takes care of the jobs; `None` when there are none.
    pub(crate) fn service(self: &Arc<Self>) -> Option<Serving> {
        let mut queue = self.queue.lock();
        if queue.service.is_none() && !queue.jobs.is_empty() {
            let service = Service {
                publisher: Arc::clone(self),
                finished: false,
            };
            let run: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(service.run());
            queue.service = Some(run.shared());
        }
        queue.service.clone()
    }

    /// Has the jobs done although nobody waits for them.
    pub(crate) fn start(self: &Arc<Self>) {
        if let Some(service) = self.service() {
            self.runtime.spawn(service);
        }
    }

    /// Has something done by a task.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// Timers and connections belong to the runtime, whoever drives the service.
    pub(crate) fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Waits until everything that was queued is sent.
    pub(crate) async fn idle(self: &Arc<Self>) {
        while let Some(service) = self.service() {
            service.await;
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
        self.spawn(async move {
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
        if jobs.is_empty() {
            queue.service = None;
            return None;
        }
        Some(jobs)
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

/// The work. Should it end before it is done, as it does with its runtime, whoever waits is told.
struct Service {
    publisher: Arc<Publisher>,
    finished: bool,
}

impl Drop for Service {
    fn drop(&mut self) {
        if !self.finished {
            let mut queue = self.publisher.queue.lock();
            queue.service = None;
            queue.jobs.clear();
        }
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
        let session = self.publisher.sessions.are_own().then_some(&*connection);
        let spill = self.publisher.spill.as_deref();
        let sending = send_on(client, session, &events, spill);
        match tokio::time::timeout(PATIENCE, sending).await {
            Ok(Ok(())) => {
                self.publisher.sessions.sent(&self.publisher);
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

/// Sends events as one statement: all of them or none. It is prepared where that is safe.
pub(crate) async fn send_on(
    client: &impl GenericClient,
    session: Option<&ClientWrapper>,
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
        return run(client, session, NOTIFY, &parameters).await;
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
        Some(table) if !ids.0.is_empty() => run(client, session, &table.notify, &parameters).await,
        _ => run(client, session, NOTIFY_MANY, &parameters[..2]).await,
    }
}

async fn run(
    client: &impl GenericClient,
    session: Option<&ClientWrapper>,
    sql: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> std::result::Result<(), tokio_postgres::Error> {
    let Some(session) = session else {
        return client.execute_typed(sql, parameters).await.map(drop);
    };
    let (values, types): (Vec<_>, Vec<_>) = parameters.iter().cloned().unzip();
    let statement = session.prepare_typed_cached(sql, &types).await?;
    session.execute(&statement, &values).await.map(drop)
}
