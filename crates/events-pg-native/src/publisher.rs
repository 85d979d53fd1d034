//! Sends events in the order in which they were published.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use events_core::telemetry::Count;
use events_core::{Error, ErrorKind, Meters, Op, Result};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::connector::Connector;
use crate::error::{BACKEND, driver, pool};
use crate::handover::Handover;
use crate::job::{Job, Outgoing, Ticket};
use crate::line::{Alarm, Line};
use crate::notify::notify;
use crate::sessions::Sessions;
use crate::spill::SpillTable;
use crate::wheel::{Statement, Wheel};

/// A statement that is not answered by then will not be.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driving {
    /// A task, on whatever runtime.
    Task,
    /// A thread that waits, and meanwhile runs the runtime that is kept for such.
    Thread,
}

pub(crate) struct Publisher {
    /// For everything but publishing, and for that where it is the application's.
    pool: Pool,
    /// Makes connections for publishing, unless they are the application's.
    connector: Option<Connector>,
    runtime: Handle,
    meters: Arc<Meters>,
    handover: Arc<Handover>,
    pub(crate) spill: Option<Arc<SpillTable>>,
    pub(crate) sessions: Sessions,
    wheel: Arc<Wheel>,
    /// What tasks publish through.
    lane: Mutex<Lane>,
    /// What threads publish through. A connection belongs to a runtime, and that of the tasks runs
    /// on other threads: an answer would have to be passed from one thread to another.
    thread: OnceLock<Option<Thread>>,
}

/// What publishing needs, kept from one statement to the next.
#[derive(Default)]
struct Lane {
    line: Option<Line>,
    alarm: Option<Alarm>,
}

/// A runtime that only runs while threads wait for it.
struct Thread {
    lane: Mutex<Lane>,
    runtime: Option<Runtime>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        // Waiting for what it looks up in the background would panic inside an async runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Publisher {
    pub(crate) fn new(
        pool: Pool,
        connector: Option<Connector>,
        runtime: Handle,
        meters: Arc<Meters>,
        handover: Arc<Handover>,
        spill: Option<Arc<SpillTable>>,
        sessions: Sessions,
    ) -> Self {
        Self {
            pool,
            connector,
            runtime,
            meters,
            handover,
            spill,
            sessions,
            wheel: Arc::default(),
            lane: Mutex::default(),
            thread: OnceLock::new(),
        }
    }

    /// Queues events; they are sent when somebody drives.
    pub(crate) fn queue(&self, events: Vec<Outgoing>) -> Arc<Ticket> {
        self.handover.sending(&events);
        let job = Job::new(events);
        let ticket = Arc::clone(&job.ticket);
        self.wheel.push(job);
        ticket
    }

    /// Drives until there is an answer, or nothing more can be done now.
    pub(crate) fn poll(
        self: &Arc<Self>,
        driving: Driving,
        ticket: &Ticket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        self.wheel
            .poll(ticket, cx, |jobs| self.statement(driving, jobs))
    }

    /// The runtime of threads that wait for what they publish; `None` where connections are the
    /// application's.
    pub(crate) fn runtime_of_threads(&self) -> Option<&Runtime> {
        let make = || {
            self.connector.as_ref()?;
            let runtime = Builder::new_current_thread().enable_all().build().ok()?;
            Some(Thread {
                lane: Mutex::default(),
                runtime: Some(runtime),
            })
        };
        self.thread.get_or_init(make).as_ref()?.runtime.as_ref()
    }

    /// Has what is queued done although nobody waits for it.
    pub(crate) fn start(self: &Arc<Self>) {
        self.runtime.spawn(self.idle());
    }

    /// Has something done by a task.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// Waits until everything that was queued is sent; a task of the runtime does this.
    pub(crate) fn idle(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        // Made before the first poll, for which a runtime that ends may leave no time.
        let abandon = Abandon(Some(Arc::clone(&self.wheel)));
        let publisher = Arc::clone(self);
        async move {
            let last = publisher.queue(Vec::new());
            let sent = |cx: &mut Context<'_>| publisher.poll(Driving::Task, &last, cx);
            // Those before it have answers of their own.
            let _ = std::future::poll_fn(sent).await;
            abandon.forget();
        }
    }

    /// Closes the connections that nothing is sent through any more.
    pub(crate) fn close(&self) {
        let threads = self.thread.get().and_then(Option::as_ref);
        for lane in [Some(&self.lane), threads.map(|it| &it.lane)] {
            let line = lane.and_then(|lane| lane.lock().line.take());
            line.into_iter().for_each(Line::close);
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

    fn statement(self: &Arc<Self>, driving: Driving, jobs: Vec<Job>) -> Statement {
        let publisher = Arc::clone(self);
        let runtime = match driving {
            Driving::Thread => self.runtime_of_threads().map(Runtime::handle),
            Driving::Task => None,
        };
        let runtime = runtime.unwrap_or(&self.runtime).clone();
        let work = async move {
            let mut lane = std::mem::take(&mut *publisher.lane(driving).lock());
            publisher.serve(&mut lane, jobs).await;
            *publisher.lane(driving).lock() = lane;
        };
        let work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(work);
        Statement { runtime, work }
    }

    fn lane(&self, driving: Driving) -> &Mutex<Lane> {
        match self.thread.get() {
            Some(Some(threads)) if driving == Driving::Thread => &threads.lane,
            _ => &self.lane,
        }
    }

    async fn serve(self: &Arc<Self>, lane: &mut Lane, jobs: Vec<Job>) {
        match self.send(lane, &jobs).await {
            // The server refused them together, so it has taken none; it may mind only one.
            Err(error) if jobs.len() > 1 && !error.is_retryable() => {
                for job in jobs {
                    let outcome = self.send(lane, std::slice::from_ref(&job)).await;
                    self.answer(&job, outcome);
                }
            }
            outcome => {
                for job in jobs {
                    self.answer(&job, outcome.clone());
                }
            }
        }
    }

    fn answer(&self, job: &Job, outcome: Result<()>) {
        let ids = job.events.iter().map(|event| event.id);
        self.handover.sent(ids, outcome.is_ok());
        if outcome.is_ok() {
            count(&self.meters, &job.events, job.asked.elapsed());
        }
        job.ticket.answer(|| outcome);
    }

    /// Sends the events of these jobs as one statement.
    async fn send(self: &Arc<Self>, lane: &mut Lane, jobs: &[Job]) -> Result<()> {
        let events: Vec<&Outgoing> = jobs.iter().flat_map(|job| &job.events).collect();
        if events.is_empty() {
            return Ok(());
        }
        let Lane { line, alarm } = lane;
        let alarm = alarm.get_or_insert_with(Alarm::new);
        match &self.connector {
            Some(connector) => {
                let sending = self.send_by_line(line, connector, &events);
                let sent = alarm.within(PATIENCE, sending).await;
                // The statement may still run, so nothing more is sent through it.
                sent.unwrap_or_else(|| {
                    *line = None;
                    Err(unanswered())
                })?;
            }
            None => self.send_by_pool(alarm, &events).await?,
        }
        self.sessions.sent(self);
        if events.iter().any(|event| event.spilled.is_some()) {
            self.clean_spilled();
        }
        Ok(())
    }

    async fn send_by_line(
        &self,
        kept: &mut Option<Line>,
        connector: &Connector,
        events: &[&Outgoing],
    ) -> Result<()> {
        let is_open = match kept {
            Some(line) => line.is_open().await,
            None => false,
        };
        if !is_open {
            *kept = None;
        }
        let line = match kept {
            Some(line) => line,
            None => kept.insert(Line::open(connector).await?),
        };
        let spill = self.spill.as_deref();
        let are_own = self.sessions.are_own();
        let sent = line.run(async |client, prepared| {
            notify(client, are_own.then_some(prepared), events, spill).await
        });
        sent.await.map_err(|error| driver(Op::Publish, error))
    }

    async fn send_by_pool(&self, alarm: &mut Alarm, events: &[&Outgoing]) -> Result<()> {
        let connection = alarm.within(PATIENCE, self.connection(Op::Publish)).await;
        let connection = connection.unwrap_or_else(|| Err(no_connection()))?;
        let sending = notify(&**connection, None, events, self.spill.as_deref());
        match alarm.within(PATIENCE, sending).await {
            Some(sent) => sent.map_err(|error| driver(Op::Publish, error)),
            None => {
                // The statement may still run, so nobody else may have the connection.
                drop(Object::take(connection));
                Err(unanswered())
            }
        }
    }
}

fn no_connection() -> Error {
    Error::new(ErrorKind::Busy, Op::Publish)
        .because(format!(
            "no connection of the pool became free within {PATIENCE:?}; use a larger pool"
        ))
        .in_backend(BACKEND)
}

fn unanswered() -> Error {
    Error::new(ErrorKind::Timeout, Op::Publish)
        .because(format!(
            "the server did not answer within {PATIENCE:?}; the events may have been sent"
        ))
        .in_backend(BACKEND)
}

/// Tells whoever waits, should the runtime end before everything is sent.
struct Abandon(Option<Arc<Wheel>>);

impl Abandon {
    /// Everything is sent.
    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Abandon {
    fn drop(&mut self) {
        if let Some(wheel) = &self.0 {
            wheel.abandon();
        }
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
