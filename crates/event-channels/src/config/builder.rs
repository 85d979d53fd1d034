//! The options as chained setters.

use std::time::Duration;

use events_core::{Overflow, Result};
use events_queue::{AckDurability, Durability};

#[cfg(feature = "queue-oracle")]
use super::url::Database;
use super::url::Url;
use super::{AqVisibility, BackendKind, EventsConfig, Fallback};

impl EventsConfig {
    /// How events travel; by default the best that the database has.
    #[must_use]
    pub fn backend(mut self, value: BackendKind) -> Self {
        self.backend = Some(value);
        self
    }

    /// What happens when the database or this build lacks the backend; `queue` by default.
    #[must_use]
    pub fn fallback(mut self, value: Fallback) -> Self {
        self.fallback = value;
        self
    }

    /// Whether opening creates or updates the tables; true on SQLite by default.
    #[must_use]
    pub fn auto_migrate(mut self, value: bool) -> Self {
        self.auto_migrate = value;
        self
    }

    /// The queue table, `[schema.]name`; the others are named after it. `sqlspec_event_queue` by default.
    #[must_use]
    pub fn queue_table(mut self, value: impl Into<String>) -> Self {
        self.queue_table = value.into();
        self
    }

    /// How long a consumer holds an event before it can be claimed again; 30 s by default.
    #[must_use]
    pub fn lease(mut self, value: Duration) -> Self {
        self.lease = value;
        self
    }

    /// How long acknowledged events stay readable; a day by default, zero deletes on ack.
    #[must_use]
    pub fn retention(mut self, value: Duration) -> Self {
        self.retention = value;
        self
    }

    /// The longest wait between two looks at the database; 1 s by default.
    #[must_use]
    pub fn poll_interval(mut self, value: Duration) -> Self {
        self.poll_interval = value;
        self.poll_interval_asked = true;
        self
    }

    /// After this many claims without an ack an event becomes a dead letter; 20 by default.
    #[must_use]
    pub fn max_attempts(mut self, value: u32) -> Self {
        self.max_attempts = value;
        self
    }

    /// The upper bound of the wait before the first retry; it doubles from there. 1 s by default.
    #[must_use]
    pub fn backoff_base(mut self, value: Duration) -> Self {
        self.backoff.base = value;
        self
    }

    /// The upper bound of every wait before a retry; an hour by default.
    #[must_use]
    pub fn backoff_max(mut self, value: Duration) -> Self {
        self.backoff.max = value;
        self
    }

    /// How long a handler may run before its event is taken from it; unlimited by default.
    #[must_use]
    pub fn handler_timeout(mut self, value: impl Into<Option<Duration>>) -> Self {
        self.handler_timeout = value.into();
        self
    }

    /// Whether listeners acknowledge what their handler handled; true by default.
    #[must_use]
    pub fn auto_ack(mut self, value: bool) -> Self {
        self.auto_ack = value;
        self
    }

    /// How many events a listener handles at the same time; 1 by default.
    #[must_use]
    pub fn concurrency(mut self, value: usize) -> Self {
        self.concurrency = value;
        self
    }

    /// How many events are held ahead of their handling, at most 128; `None`, the default, adapts.
    #[must_use]
    pub fn prefetch(mut self, value: impl Into<Option<usize>>) -> Self {
        self.prefetch = value.into();
        self
    }

    /// How long handlers may finish when they are stopped; 30 s by default.
    #[must_use]
    pub fn drain_deadline(mut self, value: Duration) -> Self {
        self.drain_deadline = value;
        self
    }

    /// The largest payload in bytes of JSON; 1 MiB by default, at most 16 MiB.
    #[must_use]
    pub fn max_payload_bytes(mut self, value: usize) -> Self {
        self.max_payload_bytes = value;
        self
    }

    /// What a published event survives; power loss by default.
    #[must_use]
    pub fn durability(mut self, value: Durability) -> Self {
        self.durability = value;
        self
    }

    /// What a recorded ack survives; by default power loss may repeat the last events.
    #[must_use]
    pub fn ack_durability(mut self, value: AckDurability) -> Self {
        self.ack_durability = value;
        self
    }

    /// Whether blocking code may use the channel; true by default.
    #[must_use]
    pub fn portal_bridge(mut self, value: bool) -> Self {
        self.portal_bridge = value;
        self
    }

    /// The prefix of the counters in snapshots; channels of one name share them. `default` by default.
    #[must_use]
    pub fn name(mut self, value: impl Into<String>) -> Self {
        self.name = value.into();
        self
    }

    /// Oracle only: the password, whatever the URL says; without one it is that of the URL, else of
    /// the environment variable `EVENTS_ORACLE_PASSWORD`. It is never shown.
    #[must_use]
    #[cfg_attr(
        not(feature = "queue-oracle"),
        expect(unused_mut, unused_variables, reason = "this build lacks Oracle")
    )]
    pub fn password(mut self, value: impl Into<String>) -> Self {
        #[cfg(feature = "queue-oracle")]
        if let Database::Oracle(server) = &self.url.0 {
            self.url.0 = Database::Oracle(server.clone().with_password(value));
        }
        self
    }

    /// Whether the URL, or the option, has given a password for Oracle.
    pub(super) fn has_password(&self) -> bool {
        match &self.url.0 {
            #[cfg(feature = "queue-oracle")]
            Database::Oracle(server) => server.has_password(),
            _ => false,
        }
    }

    /// Oracle only: keeps the queue table in the column store; the migration says so to the server.
    #[must_use]
    pub fn in_memory(mut self, value: bool) -> Self {
        self.in_memory = value;
        self
    }

    /// Oracle's native backends only: whether migrations make and drop the tables of the fallback
    /// beside the queue; true by default.
    #[must_use]
    pub fn fallback_table(mut self, value: bool) -> Self {
        self.fallback_table = value;
        self
    }

    /// Oracle's native backends only: a user whom `migrate_up` lets publish to the queue and consume
    /// from it; may be called for several.
    #[must_use]
    pub fn grant_queue_to(mut self, user: impl Into<String>) -> Self {
        self.queue_grantees.push(user.into());
        self
    }

    /// Oracle only: the queue of the native backends.
    #[must_use]
    pub fn aq_queue(mut self, value: impl Into<String>) -> Self {
        self.aq_queue = value.into();
        self
    }

    /// Oracle only: consumer groups on the native backends. The queue is then one for multiple
    /// consumers, as `migrate_up` makes it with this option.
    #[must_use]
    pub fn aq_groups(mut self, value: bool) -> Self {
        self.aq_groups = value;
        self
    }

    /// Oracle only: how long one dequeue waits; 5 s by default.
    #[must_use]
    pub fn aq_wait(mut self, value: Duration) -> Self {
        self.aq_wait = value;
        self
    }

    /// Oracle only: when a message leaves the queue.
    #[must_use]
    pub fn aq_visibility(mut self, value: AqVisibility) -> Self {
        self.aq_visibility = Some(value);
        self
    }

    /// PostgreSQL only: a URL that leads to the server itself, for the connection that listens,
    /// when the other one leads to a proxy that pools by transaction.
    ///
    /// # Errors
    /// `InvalidConfig` for a URL that is not understood or of another database.
    pub fn direct_url(mut self, url: impl AsRef<str>) -> Result<Self> {
        self.direct = Some(Url::direct(url.as_ref())?);
        Ok(self)
    }

    /// PostgreSQL only: the most connections that the pool makes; 8 by default.
    #[must_use]
    pub fn pool_size(mut self, value: usize) -> Self {
        self.pool_size = value;
        self
    }

    /// Native PostgreSQL only: how often the listening connection proves that it lives; 10 s by
    /// default.
    #[must_use]
    pub fn heartbeat_interval(mut self, value: Duration) -> Self {
        self.heartbeat_interval = value;
        self
    }

    /// Native PostgreSQL only: how long the proof may take before the connection counts as lost;
    /// 5 s by default.
    #[must_use]
    pub fn heartbeat_deadline(mut self, value: Duration) -> Self {
        self.heartbeat_deadline = value;
        self
    }

    /// Native PostgreSQL only: how many events wait for a slow consumer; 10,000 by default.
    #[must_use]
    pub fn listener_queue_capacity(mut self, value: usize) -> Self {
        self.listener_queue_capacity = value;
        self
    }

    /// Native PostgreSQL only: what happens when that many wait.
    #[must_use]
    pub fn listener_overflow(mut self, value: Overflow) -> Self {
        self.listener_overflow = value;
        self
    }

    /// Native PostgreSQL only: the table for events that a notification cannot carry, which are
    /// refused without it. `migrate_up` with the backend `notify` creates it, and so does opening
    /// with `auto_migrate`; rows older than the retention are removed.
    #[must_use]
    pub fn spill_table(mut self, value: impl Into<String>) -> Self {
        self.spill_table = Some(value.into());
        self
    }
}
