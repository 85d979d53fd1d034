//! What a notification cannot carry stands in a table, and the notification says so.
//!
//! A consumer that meets such a notification fetches what stands behind it, and behind those that
//! wait already, in one statement; requests of several consumers share one as well.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use events_core::{Error, ErrorKind, EventId, Op, Result, TableName};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::error::{BACKEND, driver};
use crate::publisher::Publisher;
use crate::sql::{NOTIFY_SPILLED, SPILL_CLEAN, SPILL_FETCH};

/// A fetch that did not succeed by then is given up, and its events count as missed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);
/// Consumers may be that far behind, whatever retention says.
const LEAST_RETENTION: Duration = Duration::from_secs(60);
/// What is left after so many batches waits for the next clean-up.
const CLEAN_BATCHES: usize = 100;

/// Where events go that a notification cannot carry, and how long they stay.
#[derive(Debug, Clone)]
pub struct Spill {
    /// The table.
    pub table: TableName,
    /// Rows older than this are removed, but none before a minute has passed.
    pub retention: Duration,
}

/// The statements of the table, and when it is to be cleaned.
#[derive(Debug)]
pub(crate) struct SpillTable {
    pub(crate) name: String,
    pub(crate) notify: String,
    fetch: String,
    clean: String,
    retention: Duration,
    next_clean: Mutex<Instant>,
}

impl SpillTable {
    pub(crate) fn new(spill: &Spill) -> Self {
        Self {
            name: spill.table.to_string(),
            notify: spill.table.render(NOTIFY_SPILLED),
            fetch: spill.table.render(SPILL_FETCH),
            clean: spill.table.render(SPILL_CLEAN),
            retention: spill.retention.max(LEAST_RETENTION),
            next_clean: Mutex::new(Instant::now()),
        }
    }

    /// Whether a clean-up is due; the next one is due later.
    pub(crate) fn is_dirty(&self) -> bool {
        let now = Instant::now();
        let mut next = self.next_clean.lock();
        let due = *next <= now;
        if due {
            let pause = self.retention / 10;
            *next = now + pause.min(Duration::from_secs(600));
        }
        due
    }

    /// Removes what is older than the retention, in small transactions.
    pub(crate) async fn clean(&self, publisher: &Publisher) -> Result<u64> {
        let connection = publisher.connection(Op::Admin).await?;
        let seconds = self.retention.as_secs_f64();
        let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&seconds, Type::FLOAT8)];
        let mut removed = 0;
        for _ in 0..CLEAN_BATCHES {
            let batch = connection.execute_typed(&self.clean, &parameters).await;
            match batch.map_err(|error| driver(Op::Admin, error))? {
                0 => break,
                rows => removed += rows,
            }
        }
        Ok(removed)
    }

    async fn fetch(&self, client: &Client, ids: &[String]) -> Result<Found> {
        let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&ids, Type::TEXT_ARRAY)];
        let failed = |error| driver(Op::Receive, error);
        let rows = client.query_typed(&self.fetch, &parameters).await;
        let mut found = Found::new();
        for row in rows.map_err(failed)? {
            let id: &str = row.try_get(0).map_err(failed)?;
            let envelope: &str = row.try_get(1).map_err(failed)?;
            if let Ok(id) = EventId::parse(id) {
                found.insert(id, Arc::from(envelope));
            }
        }
        Ok(found)
    }
}

/// Envelopes by their ids; what is gone is not there.
pub(crate) type Found = HashMap<EventId, Arc<str>>;

/// Fetches for all consumers of a channel object.
pub(crate) struct Fetcher {
    table: Arc<SpillTable>,
    publisher: Arc<Publisher>,
    runtime: Handle,
    requests: Mutex<Requests>,
}

#[derive(Default)]
struct Requests {
    waiting: Vec<Request>,
    /// Whether a task takes care of them.
    served: bool,
}

struct Request {
    ids: Vec<EventId>,
    answer: oneshot::Sender<Found>,
}

impl Fetcher {
    pub(crate) fn new(table: Arc<SpillTable>, publisher: Arc<Publisher>, runtime: Handle) -> Self {
        Self {
            table,
            publisher,
            runtime,
            requests: Mutex::default(),
        }
    }

    /// Asks for envelopes; what cannot be had in time is not in the answer.
    pub(crate) fn fetch(self: &Arc<Self>, ids: Vec<EventId>) -> oneshot::Receiver<Found> {
        let (answer, answered) = oneshot::channel();
        let mut requests = self.requests.lock();
        requests.waiting.push(Request { ids, answer });
        if !std::mem::replace(&mut requests.served, true) {
            let fetcher = Arc::clone(self);
            self.runtime.spawn(async move { fetcher.serve().await });
        }
        answered
    }

    async fn serve(&self) {
        let mut ending = Ending(Some(self));
        while let Some(requests) = self.take() {
            let ids: HashSet<EventId> = requests.iter().flat_map(|it| it.ids.clone()).collect();
            let found = self.found(&ids).await;
            for Request { ids, answer } in requests {
                let own = ids
                    .iter()
                    .filter_map(|id| Some((*id, Arc::clone(found.get(id)?))));
                // Its consumer may be gone.
                let _ = answer.send(own.collect());
            }
        }
        // Who asks from now on starts another task.
        ending.0 = None;
    }

    fn take(&self) -> Option<Vec<Request>> {
        let mut requests = self.requests.lock();
        let waiting = std::mem::take(&mut requests.waiting);
        requests.served = !waiting.is_empty();
        requests.served.then_some(waiting)
    }

    /// Tries for as long as the server may come back.
    async fn found(&self, ids: &HashSet<EventId>) -> Found {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let until = Instant::now() + PATIENCE;
        loop {
            let attempt = async {
                let connection = self.publisher.connection(Op::Receive).await?;
                self.table.fetch(&connection, &ids).await
            };
            let answer = tokio::time::timeout_at(until, attempt).await;
            match answer.unwrap_or_else(|_| Err(late())) {
                Ok(found) => return found,
                Err(error) if error.is_retryable() && Instant::now() + PAUSE < until => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => {
                    let events = ids.len();
                    tracing::warn!(%error, events, "spilled events cannot be fetched and count as missed");
                    return Found::new();
                }
            }
        }
    }
}

/// Should a task end before it has served everybody, those who wait find nothing, and the next one
/// who asks starts another.
struct Ending<'a>(Option<&'a Fetcher>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Some(fetcher) = self.0 {
            *fetcher.requests.lock() = Requests::default();
        }
    }
}

fn late() -> Error {
    Error::new(ErrorKind::Timeout, Op::Receive)
        .because(format!("no answer within {PATIENCE:?}"))
        .in_backend(BACKEND)
}
