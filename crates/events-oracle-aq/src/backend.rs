//! The backend: publishes through a pool of sessions, gives each consumer sessions of its own.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use events_core::telemetry::Count;
use events_core::{
    Admin, Backend, BoxSubscription, Capabilities, Closer, Error, ErrorKind, EventId, FanOut,
    Health, MAX_NAME_BYTES, NewEvent, Op, Pending, Result, Settled, Settlement, SettlementMode,
    Subscribe, Wakes,
};
use events_oracle_session::{Workers, closed};
use parking_lot::Mutex;

use crate::context::{Context, Reply};
use crate::desk::Desk;
use crate::group::{self, Group};
use crate::message::Wanted;
use crate::publisher;
use crate::queue::{self, DEAD, Queue};
use crate::subscription::AqSubscription;

/// The pause between looks that do not wait, unless one is asked for.
const BETWEEN: Duration = Duration::from_secs(1);

/// Events through Oracle's queues; made by [`crate::open`].
pub struct AqBackend {
    pub(crate) context: Arc<Context>,
    pub(crate) workers: Workers,
    capabilities: Capabilities,
    database: String,
    desks: Arc<Mutex<Vec<Weak<Desk>>>>,
    closer: Closer,
}

impl AqBackend {
    pub(crate) fn new(
        context: Arc<Context>,
        workers: Workers,
        queue: Option<&Queue>,
        database: String,
    ) -> Self {
        let (settles, groups) = (context.settles(), context.config.groups);
        Self {
            capabilities: Capabilities {
                durable: true,
                fan_out: if groups {
                    FanOut::Groups
                } else {
                    FanOut::Competing
                },
                settlement: if settles {
                    SettlementMode::Session
                } else {
                    SettlementMode::None
                },
                wakes: Wakes::Push,
                delay: true,
                priority: true,
                expires: true,
                idempotent: false,
                dead_letters: settles,
                atomic_batch: true,
                max_event_bytes: publisher::most(queue),
                // The correlation of a dead letter is its channel with a sign before it.
                max_name_bytes: if groups {
                    group::MAX_NAME_BYTES
                } else {
                    MAX_NAME_BYTES - DEAD.len_utf8()
                },
            },
            context,
            workers,
            database,
            desks: Arc::default(),
            closer: Closer::new(),
        }
    }

    pub(crate) fn check_open(&self, op: Op) -> Result<()> {
        if self.closer.is_closed() {
            return Err(closed(op, self.context.name));
        }
        Ok(())
    }

    /// Refuses what these queues cannot honour.
    pub(crate) fn check(&self, request: &Subscribe) -> Result<()> {
        self.check_open(Op::Subscribe)?;
        if request.group.is_some() && !self.context.config.groups {
            return Err(Error::new(ErrorKind::Unsupported, Op::Subscribe).because(
                "consumer groups on Oracle's queues need aq_groups = true and a queue that was made with it; set it, leave the group out, or use the backend poll_queue",
            ));
        }
        request.check_supported(&self.capabilities)?;
        if request.prefetch.is_some_and(|events| events > 1) {
            return Err(Error::new(ErrorKind::InvalidConfig, Op::Subscribe).because(
                "prefetch must be 1 or unset: a session on Oracle's queues holds one event; concurrency adds sessions",
            ));
        }
        Ok(())
    }
}

impl Backend for AqBackend {
    fn name(&self) -> &'static str {
        self.context.name
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn publish(&self, events: Vec<NewEvent>) -> Pending<Vec<EventId>> {
        if let Err(error) = self.check_open(Op::Publish) {
            return Pending::ready(Err(error));
        }
        publisher::publish(&self.context, &self.workers, &self.capabilities, events)
    }

    fn subscribe(&self, request: Subscribe) -> Pending<BoxSubscription> {
        if let Err(error) = self.check(&request) {
            return Pending::ready(Err(error.in_backend(self.context.name)));
        }
        let context = Arc::clone(&self.context);
        let group = Group::new(request.channel.clone(), request.group.clone());
        let found = self.workers.submit(Op::Subscribe, move |session| {
            let queue = context.queue(session, Op::Subscribe, &group.channel)?;
            if queue.multiple {
                context.register(session, Op::Subscribe, &group)?;
            }
            Ok(queue)
        });
        let context = Arc::clone(&self.context);
        let desks = Arc::clone(&self.desks);
        let closer = self.closer.clone();
        found.then(move |found| {
            let queue = found.map_err(|error| error.in_backend(context.name))?;
            let group = Group::new(request.channel.clone(), request.group);
            let names = &context.queue_name;
            let (condition, again, dead) = if queue.multiple {
                (group.condition(names), group.own(), group.dead())
            } else {
                let channel = &group.channel;
                let again = channel.as_str().to_owned();
                (names.condition(channel), again, queue::dead(channel))
            };
            let wanted = Wanted {
                consumer: queue.multiple.then(|| group.subscriber()),
                condition,
                again,
                dead,
                group: group.name,
                queue,
                immediate: !context.settles(),
                wait_seconds: context.config.wait_seconds(request.poll_interval),
            };
            let between = request.poll_interval.or(context.config.poll_interval);
            let mut desks = desks.lock();
            if closer.is_closed() {
                return Err(closed(Op::Subscribe, context.name));
            }
            let desk = Desk::open(
                context,
                request.channel,
                wanted,
                between.unwrap_or(BETWEEN),
                request.concurrency,
                request.listening,
            )?;
            desks.retain(|desk| desk.strong_count() > 0);
            desks.push(Arc::downgrade(&desk));
            Ok(Box::new(AqSubscription::new(desk)) as BoxSubscription)
        })
    }

    fn settle(&self, settlements: Vec<Settlement>) -> Pending<Vec<Result<Settled>>> {
        let replies: Vec<Reply> = settlements
            .into_iter()
            .map(|settlement| self.context.settle(settlement))
            .collect();
        Pending::from_future(async move {
            let mut answers = Vec::with_capacity(replies.len());
            for reply in replies {
                answers.push(match reply {
                    Reply::Now(answer) => answer,
                    Reply::Later(answer) => answer.taken().await,
                });
            }
            Ok(answers)
        })
    }

    fn admin(&self) -> Option<&dyn Admin> {
        Some(self)
    }

    fn health(&self) -> Pending<Health> {
        if let Err(error) = self.check_open(Op::Admin) {
            return Pending::ready(Err(error));
        }
        let name = self.context.name;
        let database = self.database.clone();
        self.workers.submit(Op::Admin, move |session| {
            let started = Instant::now();
            if session.is_alive() {
                return Ok(Health::new(name, database.clone(), started.elapsed()));
            }
            Err(Error::new(ErrorKind::Unavailable, Op::Admin)
                .because("the session is gone; the next call makes a new one")
                .in_backend(name))
        })
    }

    fn shutdown(&self) -> Pending<()> {
        let desks: Vec<_> = {
            let desks = self.desks.lock();
            if !self.closer.is_closed() {
                self.context.meters.of_backend().add(Count::Shutdown, 1);
            }
            self.closer.close();
            desks.iter().filter_map(Weak::upgrade).collect()
        };
        desks.iter().for_each(Desk::end);
        let workers = self.workers.close();
        Pending::from_future(async move {
            let mut ended = Ok(());
            for desk in desks {
                ended = ended.and(desk.ended().await);
            }
            workers.await.and(ended)
        })
    }
}

impl Drop for AqBackend {
    fn drop(&mut self) {
        self.closer.close();
        let desks: Vec<_> = self.desks.lock().iter().filter_map(Weak::upgrade).collect();
        desks.iter().for_each(Desk::end);
    }
}

impl fmt::Debug for AqBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AqBackend")
            .field("config", &self.context.config)
            .finish_non_exhaustive()
    }
}
