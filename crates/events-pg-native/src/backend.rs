//! The backend: what the contract asks for, by NOTIFY and LISTEN.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::Pool;
use events_core::telemetry::Count;
use events_core::{
    Admin, Backend, BoxSubscription, Capabilities, Error, ErrorKind, EventId, FanOut, Health,
    MAX_NOTIFY_BYTES, Meters, NewEvent, NotifyEnvelope, Op, Pending, Result, Settled, Settlement,
    SettlementMode, Subscribe, Timestamp, Wakes,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::buffer::Buffer;
use crate::config::NotifyConfig;
use crate::error::{BACKEND, driver};
use crate::hub::HubHandle;
use crate::job::Outgoing;
use crate::publication::Publication;
use crate::publisher::Publisher;
use crate::spill::Fetcher;
use crate::sql::PING;
use crate::subscription::NotifySubscription;

/// PostgreSQL cuts longer identifiers, and `pg_notify` refuses them.
const MAX_CHANNEL_BYTES: usize = 63;
/// How long a round trip that proves the server healthy may take.
const HEALTH_PATIENCE: Duration = Duration::from_secs(10);

/// What this backend promises.
pub(crate) const CAPABILITIES: Capabilities = Capabilities {
    durable: false,
    fan_out: FanOut::Broadcast,
    settlement: SettlementMode::None,
    wakes: Wakes::Push,
    delay: false,
    priority: false,
    expires: false,
    idempotent: false,
    dead_letters: false,
    atomic_batch: true,
    max_event_bytes: Some(MAX_NOTIFY_BYTES),
    max_name_bytes: MAX_CHANNEL_BYTES,
};

/// Native notifications on PostgreSQL: at most once, to whoever listens.
///
/// Events are published through a pool, in the order of the calls; calls that are under way at the
/// same time share a statement. One connection of its own listens for all subscriptions.
///
/// Dropping it ends its subscriptions and closes its connections.
pub struct NotifyBackend {
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) hub: Arc<HubHandle>,
    pub(crate) meters: Arc<Meters>,
    /// What spilled events are fetched through, if there is a table for them.
    pub(crate) fetcher: Option<Arc<Fetcher>>,
    pub(crate) config: NotifyConfig,
    pub(crate) runtime: Handle,
    /// The pool, if it is ours to close.
    pub(crate) own_pool: Option<Pool>,
}

impl NotifyBackend {
    pub(crate) fn check_open(&self, op: Op) -> Result<()> {
        if self.hub.closer.is_closed() {
            return Err(closed(op));
        }
        Ok(())
    }

    /// Events ready to be sent, or what is wrong with one of them.
    pub(crate) fn outgoing(&self, events: Vec<NewEvent>) -> Result<Vec<Outgoing>> {
        let now = Timestamp::now();
        let outgoing = |event: NewEvent| {
            event.check_supported(&CAPABILITIES)?;
            let parts = event.into_parts(self.config.max_payload_bytes)?;
            let id = EventId::new();
            let (payload, metadata) = (&parts.payload, parts.metadata.as_ref());
            let (text, spilled) = match &self.publisher.spill {
                None => (NotifyEnvelope::encode(id, payload, metadata, now)?, None),
                Some(table) => {
                    let text = NotifyEnvelope::encode_any(id, payload, metadata, now);
                    match text.len() {
                        0..=MAX_NOTIFY_BYTES => (text, None),
                        bytes => {
                            let mark = NotifyEnvelope::encode_spilled(id, &table.name, bytes, now);
                            (mark, Some(text))
                        }
                    }
                }
            };
            Ok(Outgoing {
                channel: parts.channel,
                id,
                text: Arc::from(text),
                spilled,
            })
        };
        events.into_iter().map(outgoing).collect()
    }
}

impl Backend for NotifyBackend {
    fn name(&self) -> &'static str {
        BACKEND
    }

    fn capabilities(&self) -> Capabilities {
        let spills = self.fetcher.is_some();
        Capabilities {
            max_event_bytes: CAPABILITIES.max_event_bytes.filter(|_| !spills),
            ..CAPABILITIES
        }
    }

    fn publish(&self, events: Vec<NewEvent>) -> Pending<Vec<EventId>> {
        let checked = self
            .check_open(Op::Publish)
            .and_then(|()| self.outgoing(events));
        let outgoing = match checked {
            Ok(outgoing) => outgoing,
            Err(error) => return Pending::ready(Err(error.in_backend(BACKEND))),
        };
        if outgoing.is_empty() {
            return Pending::ready(Ok(Vec::new()));
        }
        let ids = outgoing.iter().map(|event| event.id).collect();
        let ticket = self.publisher.queue(outgoing);
        let publisher = Arc::clone(&self.publisher);
        let hub = Arc::clone(&self.hub);
        Pending::started(Publication::new(publisher, ids, ticket, hub))
    }

    fn subscribe(&self, request: Subscribe) -> Pending<BoxSubscription> {
        let checked = self
            .check_open(Op::Subscribe)
            .and_then(|()| request.check_supported(&CAPABILITIES));
        if let Err(error) = checked {
            return Pending::ready(Err(error.in_backend(BACKEND)));
        }
        let meter = self.meters.of(&request.channel);
        let NotifyConfig {
            queue_capacity,
            overflow,
            ..
        } = self.config;
        let buffer = Buffer::new(queue_capacity, overflow, Arc::clone(&meter));
        let (subscription, live) = NotifySubscription::ask(
            &self.hub,
            request.channel,
            buffer,
            self.fetcher.clone(),
            meter,
        );
        // Dropped before the answer, the subscription takes itself back.
        Pending::from_future(async move {
            answer(live, Op::Subscribe).await?;
            Ok(Box::new(subscription) as BoxSubscription)
        })
    }

    fn settle(&self, settlements: Vec<Settlement>) -> Pending<Vec<Result<Settled>>> {
        let nothing = |_| Ok(Settled::NothingToRecord);
        Pending::ready(Ok(settlements.into_iter().map(nothing).collect()))
    }

    fn admin(&self) -> Option<&dyn Admin> {
        None
    }

    fn health(&self) -> Pending<Health> {
        if let Err(error) = self.check_open(Op::Admin) {
            return Pending::ready(Err(error));
        }
        let publisher = Arc::clone(&self.publisher);
        self.spawned(Op::Admin, async move {
            let started = Instant::now();
            let version = version(&publisher, Op::Admin).await?;
            let database = format!("PostgreSQL {version}");
            Ok(Health::new(BACKEND, database, started.elapsed()))
        })
    }

    fn shutdown(&self) -> Pending<()> {
        if !self.hub.closer.is_closed() {
            self.meters.of_backend().add(Count::Shutdown, 1);
        }
        self.hub.closer.close();
        let done = self.hub.done.clone();
        let publisher = Arc::clone(&self.publisher);
        let pool = self.own_pool.clone();
        self.spawned(Op::Shutdown, async move {
            done.closed().await;
            publisher.idle().await;
            publisher.close();
            if let Some(pool) = pool {
                pool.close();
            }
            Ok(())
        })
    }
}

impl NotifyBackend {
    /// Work that a task of the runtime does, whether the answer is waited for or not.
    fn spawned<T: Send + 'static>(
        &self,
        op: Op,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Pending<T> {
        let (tell, told) = oneshot::channel();
        self.runtime.spawn(async move {
            let _ = tell.send(work.await);
        });
        Pending::from_future(answer(told, op))
    }
}

/// The version of the server, by a round trip.
pub(crate) async fn version(publisher: &Publisher, op: Op) -> Result<String> {
    let asked = async {
        let connection = publisher.connection(op).await?;
        let row = connection.query_typed_one(PING, &[]).await;
        let version = row.and_then(|row| row.try_get::<_, String>(0));
        version.map_err(|error| driver(op, error))
    };
    tokio::time::timeout(HEALTH_PATIENCE, asked)
        .await
        .unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout, op)
                .because(format!("no answer within {HEALTH_PATIENCE:?}"))
                .in_backend(BACKEND))
        })
}

/// An answer of a task; one that never comes means that the task is gone.
async fn answer<T>(answered: oneshot::Receiver<Result<T>>, op: Op) -> Result<T> {
    answered
        .await
        .unwrap_or_else(|_| Err(closed(op)))
        .map_err(|error| error.during(op))
}

pub(crate) fn closed(op: Op) -> Error {
    Error::new(ErrorKind::Closed, op)
        .because("the channel was shut down, or its runtime has ended; open a new one")
        .in_backend(BACKEND)
}

impl Drop for NotifyBackend {
    fn drop(&mut self) {
        self.hub.closer.close();
    }
}

impl fmt::Debug for NotifyBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifyBackend")
            .field("publish", &self.config.publish)
            .field("listen", &self.config.listen)
            .finish_non_exhaustive()
    }
}
