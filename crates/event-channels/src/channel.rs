//! The channel object: what applications publish to, consume from and settle with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use events_core::{
    Admin, Backend, Capabilities, ChannelName, Error, EventId, EventMessage, GroupName, Health,
    NewEvent, Op, PublishOptions, Result, RetryAfter, Settled, Stats, Verdict,
};
use serde::Serialize;

use crate::config::EventsConfig;
use crate::drained::Drained;
use crate::iter::{Events, IterOptions};
use crate::listener::{HandlerResult, ListenOptions, Listener, ListenerId};
use crate::shared::{ChannelOptions, Shared};
use crate::target::Target;

/// Events over a database: publish, consume, settle.
///
/// Clones share one backend, one set of listeners and one memory of what is held.
/// When the last clone is dropped its listeners stop, as [`EventChannel::shutdown`] would stop
/// them; a handler that holds a clone keeps the channel alive until it is stopped.
///
/// Every operation is safe to cancel: what was started runs to its end, and what was received
/// and not handed over goes back.
///
/// ```no_run
/// # async fn example() -> event_channels::Result<()> {
/// use event_channels::EventChannel;
/// use serde_json::json;
///
/// let channel = EventChannel::open("sqlite:app.db").await?;
/// let mut events = channel.iter_events("notifications").await?;
/// channel.publish("notifications", json!({"type": "cache_invalidate"})).await?;
/// while let Some(message) = events.next().await {
///     let message = message?;
///     println!("{}", message.payload);
///     channel.ack(&message).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EventChannel {
    inner: Arc<Inner>,
}

/// The part that listeners do not hold, so that they end when nobody else is left.
struct Inner {
    shared: Arc<Shared>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.listeners.stop_all();
    }
}

impl EventChannel {
    /// Opens a channel by URL or configuration.
    ///
    /// # Errors
    /// `InvalidConfig` for a configuration that cannot work, `NotCompiled` for a backend that this
    /// build lacks, and whatever keeps the database from being reached.
    pub async fn open<C>(config: C) -> Result<Self>
    where
        C: TryInto<EventsConfig>,
        Error: From<C::Error>,
    {
        let config: EventsConfig = config.try_into()?;
        config.open().await
    }

    /// A channel over a backend of your own, with default options.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self::with_options(backend, ChannelOptions::default())
    }

    pub(crate) fn with_options(backend: Arc<dyn Backend>, options: ChannelOptions) -> Self {
        let shared = Arc::new(Shared::new(backend, options));
        Self {
            inner: Arc::new(Inner { shared }),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Publishes a payload; resolves when it is stored or, on native backends, sent.
    ///
    /// # Errors
    /// `InvalidInput` for a bad channel name or a payload that is no JSON or too large; otherwise
    /// those of the database. After `Unavailable` it is unknown whether the event is stored; with an
    /// [`event_id`](PublishOptions::event_id) of your own it can be published again and is stored
    /// once.
    pub fn publish<C>(
        &self,
        channel: C,
        payload: impl Serialize,
    ) -> impl Future<Output = Result<EventId>> + Send
    where
        C: TryInto<ChannelName>,
        Error: From<C::Error>,
    {
        self.publish_event(NewEvent::new(channel, payload))
    }

    /// Publishes a payload with options.
    ///
    /// # Errors
    /// As [`EventChannel::publish`], and `Unsupported` for an option that the backend cannot
    /// honour.
    pub fn publish_with<C>(
        &self,
        channel: C,
        payload: impl Serialize,
        options: PublishOptions,
    ) -> impl Future<Output = Result<EventId>> + Send
    where
        C: TryInto<ChannelName>,
        Error: From<C::Error>,
    {
        self.publish_event(NewEvent::new(channel, payload).options(options))
    }

    /// Publishes an event that was built before.
    ///
    /// # Errors
    /// As [`EventChannel::publish_with`].
    pub fn publish_event(
        &self,
        event: NewEvent,
    ) -> impl Future<Output = Result<EventId>> + Send + use<> {
        let shared = Arc::clone(self.shared());
        async move { shared.publish_one(event).await }
    }

    /// Publishes events in order; the ids come in the same order. All are stored or none, where
    /// [`Capabilities::atomic_batch`] says so.
    ///
    /// # Errors
    /// As [`EventChannel::publish_with`]; the first event that breaks a rule fails the call.
    pub fn publish_many(
        &self,
        events: impl IntoIterator<Item = NewEvent>,
    ) -> impl Future<Output = Result<Vec<EventId>>> + Send {
        let events: Vec<_> = events.into_iter().collect();
        let shared = Arc::clone(self.shared());
        async move { shared.publish(events).await }
    }

    /// Consumes a channel as a stream. It is live when this resolves: what is published afterwards
    /// is not missed.
    ///
    /// # Errors
    /// `InvalidInput` for a bad name; otherwise those of the database.
    pub async fn iter_events<C>(&self, channel: C) -> Result<Events>
    where
        C: TryInto<ChannelName>,
        Error: From<C::Error>,
    {
        self.iter_events_with(channel, IterOptions::new()).await
    }

    /// Consumes a channel as a stream, with options.
    ///
    /// # Errors
    /// As [`EventChannel::iter_events`]; `InvalidInput` for a poll interval of zero, `Unsupported`
    /// for a group where the backend has none.
    pub async fn iter_events_with<C>(&self, channel: C, options: IterOptions) -> Result<Events>
    where
        C: TryInto<ChannelName>,
        Error: From<C::Error>,
    {
        let request = options.request(
            Op::Subscribe,
            channel_name(channel, Op::Subscribe)?,
            self.shared(),
        )?;
        let subscription = self.shared().subscribe(request).await?;
        Ok(Events::new(Arc::clone(self.shared()), subscription))
    }

    /// Runs `handler` for each event of a channel, in a task of the present runtime, until it is
    /// stopped or the channel is shut down or dropped. It is live when this resolves.
    ///
    /// See [`ListenOptions`] for what happens when a handler fails, panics or takes too long.
    ///
    /// # Errors
    /// As [`EventChannel::iter_events_with`]; `WrongContext` outside a tokio runtime.
    pub async fn listen<C, F, Fut>(
        &self,
        channel: C,
        options: ListenOptions,
        handler: F,
    ) -> Result<Listener>
    where
        C: TryInto<ChannelName>,
        Error: From<C::Error>,
        F: Fn(EventMessage) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        let channel = channel_name(channel, Op::Listen)?;
        crate::listener::start(self.shared(), channel, options, handler).await
    }

    /// Stops a listener of this channel and waits until it has ended, as [`Listener::stop`] does.
    /// Answers false when there is none of that id, which is so when it has ended by itself.
    ///
    /// # Errors
    /// None at present.
    pub async fn stop_listener(&self, id: ListenerId) -> Result<bool> {
        let Some(control) = self.shared().listeners.get(id) else {
            return Ok(false);
        };
        control.stop_and_wait().await;
        Ok(true)
    }

    /// Records that an event was handled; resolves when the database has it.
    ///
    /// # Errors
    /// `HoldLost` when another claim has overtaken the message; `NotHeld` for an id that this
    /// channel object does not hold; `InvalidInput` for an id that it holds for two groups.
    pub fn ack(&self, target: impl Into<Target>) -> impl Future<Output = Result<Settled>> + Send {
        self.settle(target.into(), Verdict::Ack, Op::Ack)
    }

    /// Records that an event was not handled, and when it is tried again.
    ///
    /// # Errors
    /// As [`EventChannel::ack`].
    pub fn nack(
        &self,
        target: impl Into<Target>,
        retry: RetryAfter,
    ) -> impl Future<Output = Result<Settled>> + Send {
        let verdict = Verdict::Nack {
            retry,
            reason: None,
        };
        self.settle(target.into(), verdict, Op::Nack)
    }

    /// Holds an event for this long from now.
    ///
    /// # Errors
    /// As [`EventChannel::ack`].
    pub fn extend(
        &self,
        target: impl Into<Target>,
        by: Duration,
    ) -> impl Future<Output = Result<Settled>> + Send {
        self.settle(target.into(), Verdict::Extend(by), Op::Extend)
    }

    fn settle(
        &self,
        target: Target,
        verdict: Verdict,
        op: Op,
    ) -> impl Future<Output = Result<Settled>> + Send + use<> {
        let shared = Arc::clone(self.shared());
        async move { shared.settle(target, verdict, op).await }
    }

    /// Registers a consumer group, so that it receives what is published from now on. Answers true
    /// when it was not registered before.
    ///
    /// # Errors
    /// `InvalidInput` for a bad name, `Unsupported` where there are no groups.
    pub async fn subscribe_group<C, G>(&self, channel: C, group: G) -> Result<bool>
    where
        C: TryInto<ChannelName>,
        G: TryInto<GroupName>,
        Error: From<C::Error> + From<G::Error>,
    {
        let channel = channel_name(channel, Op::Subscribe)?;
        let group = group
            .try_into()
            .map_err(|e| Error::from(e).during(Op::Subscribe))?;
        self.shared().subscribe_group(channel, group).await
    }

    /// Counts what is stored for a channel; zero groups for one that was never used.
    ///
    /// # Errors
    /// `InvalidInput` for a bad name, `Unsupported` where nothing is stored.
    pub async fn stats<C>(&self, channel: C) -> Result<Stats>
    where
        C: TryInto<ChannelName>,
        Error: From<C::Error>,
    {
        let channel = channel_name(channel, Op::Admin)?;
        self.shared().stats(channel).await
    }

    /// Operations on what is stored; `None` where nothing is.
    #[must_use]
    pub fn admin(&self) -> Option<&dyn Admin> {
        self.shared().backend.admin()
    }

    /// Does one round trip to the database.
    ///
    /// # Errors
    /// Those of the database; `Closed` after shutdown.
    pub async fn health(&self) -> Result<Health> {
        self.shared().health().await
    }

    /// The backend in use; after a fallback, the one that was fallen back to.
    #[must_use]
    pub fn backend_name(&self) -> &'static str {
        self.shared().backend.name()
    }

    /// What the backend in use promises.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.shared().capabilities
    }

    /// The counters of this channel's configuration name, keys `<name>.events.publish` and so on.
    #[must_use]
    pub fn telemetry_snapshot(&self) -> std::collections::BTreeMap<String, f64> {
        self.shared().options.telemetry.snapshot()
    }

    /// Drains and closes the channel, for all its clones.
    ///
    /// Streams end. Listeners take no further event; their handlers may finish, publish and settle
    /// until the drain deadline of the configuration (30 s by default), and what they have not
    /// finished then is given back without counting an attempt. Later calls answer `Closed`,
    /// except this one, which answers the same report again.
    ///
    /// Called from a handler it does not wait for that handler, whose own verdict may then come
    /// too late: its event is delivered again. Safe to cancel: the next call takes it up.
    ///
    /// # Errors
    /// Those of closing the database.
    pub async fn shutdown(&self) -> Result<Drained> {
        self.shared().shutdown().await
    }

    /// The same channel for code without an async runtime; both share one backend. Each call
    /// starts a thread, so make one and clone it.
    ///
    /// # Errors
    /// `InvalidConfig` when `portal_bridge` is false; `Busy` when no thread can be started.
    #[cfg(feature = "blocking")]
    pub fn blocking(&self) -> Result<crate::blocking::EventChannel> {
        crate::blocking::EventChannel::over(self.clone())
    }
}

impl fmt::Debug for EventChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventChannel")
            .field("backend", &self.backend_name())
            .finish_non_exhaustive()
    }
}

pub(crate) fn channel_name<C>(channel: C, op: Op) -> Result<ChannelName>
where
    C: TryInto<ChannelName>,
    Error: From<C::Error>,
{
    channel.try_into().map_err(|e| Error::from(e).during(op))
}
