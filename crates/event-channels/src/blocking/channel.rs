//! The blocking channel object.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use events_core::{
    Admin, Backend, Capabilities, ChannelName, Error, EventId, EventMessage, GroupName, Health,
    NewEvent, Op, PublishOptions, Result, RetryAfter, Settled, Stats, Verdict,
};
use serde::Serialize;

use super::iter::Events;
use super::listener::{self, Listener};
use super::portal::Portal;
use crate::channel::channel_name;
use crate::config::EventsConfig;
use crate::drained::Drained;
use crate::iter::IterOptions;
use crate::listener::{HandlerResult, ListenOptions, ListenerId};
use crate::shared::Shared;
use crate::target::Target;

/// Events over a database, for code without an async runtime.
///
/// See [`crate::EventChannel`] for what the operations mean; their names are the same. Every call
/// answers `WrongContext` when it is made inside an async runtime.
#[derive(Clone)]
pub struct EventChannel {
    channel: crate::EventChannel,
    portal: Arc<Portal>,
}

impl EventChannel {
    /// Opens a channel by URL or configuration.
    ///
    /// # Errors
    /// As [`crate::EventChannel::open`]; `InvalidConfig` when `portal_bridge` is false.
    pub fn open<C>(config: C) -> Result<Self>
    where
        C: TryInto<EventsConfig>,
        Error: From<C::Error>,
    {
        let config: EventsConfig = config.try_into()?;
        Portal::check(Op::Open)?;
        let portal = Portal::new()?;
        let channel = portal.block_on(Op::Open, config.open())?;
        Self::bridged(channel, portal)
    }

    /// A channel over a backend of your own, with default options.
    ///
    /// # Errors
    /// `Busy` when no thread can be started.
    pub fn new(backend: Arc<dyn Backend>) -> Result<Self> {
        Self::over(crate::EventChannel::new(backend))
    }

    /// The blocking face of an async channel.
    pub(crate) fn over(channel: crate::EventChannel) -> Result<Self> {
        check_bridge(&channel)?;
        Self::bridged(channel, Portal::new()?)
    }

    fn bridged(channel: crate::EventChannel, portal: Arc<Portal>) -> Result<Self> {
        check_bridge(&channel)?;
        Ok(Self { channel, portal })
    }

    fn shared(&self) -> &Arc<Shared> {
        self.channel.shared()
    }

    /// The same channel for async code; both share one backend.
    #[must_use]
    pub fn as_async(&self) -> &crate::EventChannel {
        &self.channel
    }

    /// Publishes a payload; returns when it is stored or, on native backends, sent.
    ///
    /// # Errors
    /// As [`crate::EventChannel::publish`].
    pub fn publish<C>(&self, channel: C, payload: impl Serialize) -> Result<EventId>
    where
        C: TryInto<ChannelName>,
        Error: From<C::Error>,
    {
        self.publish_event(NewEvent::new(channel, payload))
    }

    /// Publishes a payload with options.
    ///
    /// # Errors
    /// As [`crate::EventChannel::publish_with`].
    pub fn publish_with<C>(
        &self,
        channel: C,
        payload: impl Serialize,
        options: PublishOptions,
    ) -> Result<EventId>
    where
        C: TryInto<ChannelName>,
        Error: From<C::Error>,
    {
        self.publish_event(NewEvent::new(channel, payload).options(options))
    }

    /// Publishes an event that was built before.
    ///
    /// # Errors
    /// As [`crate::EventChannel::publish_with`].
    pub fn publish_event(&self, event: NewEvent) -> Result<EventId> {
        self.portal
            .wait(Op::Publish, || self.shared().publish_one(event))
    }

    /// Publishes events in order; the ids come in the same order.
    ///
    /// # Errors
    /// As [`crate::EventChannel::publish_many`].
    pub fn publish_many(&self, events: impl IntoIterator<Item = NewEvent>) -> Result<Vec<EventId>> {
        let events = events.into_iter().collect();
        self.portal
            .wait(Op::Publish, || self.shared().publish(events))
    }

    /// Consumes a channel. It is live when this returns.
    ///
    /// # Errors
    /// As [`crate::EventChannel::iter_events`].
    pub fn iter_events<C>(&self, channel: C) -> Result<Events>
    where
        C: TryInto<ChannelName>,
        Error: From<C::Error>,
    {
        self.iter_events_with(channel, IterOptions::new())
    }

    /// Consumes a channel, with options.
    ///
    /// # Errors
    /// As [`crate::EventChannel::iter_events_with`].
    pub fn iter_events_with<C>(&self, channel: C, options: IterOptions) -> Result<Events>
    where
        C: TryInto<ChannelName>,
        Error: From<C::Error>,
    {
        let request = options.request(
            Op::Subscribe,
            channel_name(channel, Op::Subscribe)?,
            self.shared(),
        )?;
        let subscription = self
            .portal
            .wait(Op::Subscribe, || self.shared().subscribe(request))?;
        Ok(Events::new(
            Arc::clone(self.shared()),
            Arc::clone(&self.portal),
            subscription,
        ))
    }

    /// Runs `handler` for each event of a channel, on as many threads as the concurrency says,
    /// until it is stopped or the channel is shut down or dropped. It is live when this returns.
    ///
    /// # Errors
    /// As [`crate::EventChannel::listen`]; `Busy` when a thread cannot be started.
    pub fn listen<C, F>(&self, channel: C, options: ListenOptions, handler: F) -> Result<Listener>
    where
        C: TryInto<ChannelName>,
        Error: From<C::Error>,
        F: Fn(EventMessage) -> HandlerResult + Send + Sync + 'static,
    {
        let channel = channel_name(channel, Op::Listen)?;
        listener::start(self.shared(), &self.portal, channel, options, handler)
    }

    /// Stops a listener of this channel and waits until it has ended, as [`Listener::stop`] does.
    /// Answers false when there is none of that id.
    ///
    /// # Errors
    /// `WrongContext` only.
    pub fn stop_listener(&self, id: ListenerId) -> Result<bool> {
        Portal::check(Op::Listen)?;
        let control = self.shared().listeners.get(id);
        Ok(control.map(|control| control.stop_and_block()).is_some())
    }

    /// Records that an event was handled.
    ///
    /// # Errors
    /// As [`crate::EventChannel::ack`].
    pub fn ack(&self, target: impl Into<Target>) -> Result<Settled> {
        self.settle(target.into(), Verdict::Ack, Op::Ack)
    }

    /// Records that an event was not handled, and when it is tried again.
    ///
    /// # Errors
    /// As [`crate::EventChannel::ack`].
    pub fn nack(&self, target: impl Into<Target>, retry: RetryAfter) -> Result<Settled> {
        let verdict = Verdict::Nack {
            retry,
            reason: None,
        };
        self.settle(target.into(), verdict, Op::Nack)
    }

    /// Holds an event for this long from now.
    ///
    /// # Errors
    /// As [`crate::EventChannel::ack`].
    pub fn extend(&self, target: impl Into<Target>, by: Duration) -> Result<Settled> {
        self.settle(target.into(), Verdict::Extend(by), Op::Extend)
    }

    fn settle(&self, target: Target, verdict: Verdict, op: Op) -> Result<Settled> {
        self.portal
            .wait(op, || self.shared().settle(target, verdict, op))
    }

    /// Registers a consumer group.
    ///
    /// # Errors
    /// As [`crate::EventChannel::subscribe_group`].
    pub fn subscribe_group<C, G>(&self, channel: C, group: G) -> Result<bool>
    where
        C: TryInto<ChannelName>,
        G: TryInto<GroupName>,
        Error: From<C::Error> + From<G::Error>,
    {
        let channel = channel_name(channel, Op::Subscribe)?;
        let group = group
            .try_into()
            .map_err(|e| Error::from(e).during(Op::Subscribe))?;
        self.portal.wait(Op::Subscribe, || {
            self.shared().subscribe_group(channel, group)
        })
    }

    /// Counts what is stored for a channel.
    ///
    /// # Errors
    /// As [`crate::EventChannel::stats`].
    pub fn stats<C>(&self, channel: C) -> Result<Stats>
    where
        C: TryInto<ChannelName>,
        Error: From<C::Error>,
    {
        let channel = channel_name(channel, Op::Admin)?;
        self.portal.wait(Op::Admin, || self.shared().stats(channel))
    }

    /// Operations on what is stored; `None` where nothing is. Their answers are waited for with
    /// [`Pending::wait`](crate::Pending::wait).
    #[must_use]
    pub fn admin(&self) -> Option<&dyn Admin> {
        self.channel.admin()
    }

    /// Does one round trip to the database.
    ///
    /// # Errors
    /// As [`crate::EventChannel::health`].
    pub fn health(&self) -> Result<Health> {
        self.portal.wait(Op::Admin, || self.shared().health())
    }

    /// The backend in use.
    #[must_use]
    pub fn backend_name(&self) -> &'static str {
        self.channel.backend_name()
    }

    /// What the backend in use promises.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.channel.capabilities()
    }

    /// The counters of this channel's configuration name.
    #[must_use]
    pub fn telemetry_snapshot(&self) -> std::collections::BTreeMap<String, f64> {
        self.channel.telemetry_snapshot()
    }

    /// Drains and closes the channel, for all its clones, async ones included.
    ///
    /// # Errors
    /// As [`crate::EventChannel::shutdown`].
    pub fn shutdown(&self) -> Result<Drained> {
        self.portal.block_on(Op::Shutdown, self.channel.shutdown())
    }
}

/// Refuses blocking use where the configuration forbids it.
fn check_bridge(channel: &crate::EventChannel) -> Result<()> {
    if channel.shared().options.portal_bridge {
        return Ok(());
    }
    Err(Error::invalid_config(
        "portal_bridge is false, which forbids blocking::EventChannel; set it to true or use the async EventChannel",
    ))
}

impl fmt::Debug for EventChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("blocking::EventChannel")
            .field("backend", &self.backend_name())
            .finish_non_exhaustive()
    }
}
