//! Every option with its default.

use std::time::Duration;

use events_core::telemetry::Telemetry;
use events_core::{Error, Overflow, Result, TableName};
use events_queue::{AckDurability, Backoff, Durability, QueueConfig};

use super::url::{Database, Url};
use super::{AqVisibility, BackendKind, Fallback};
use crate::shared::ChannelOptions;

const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);

fn is_oracle_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_$#".contains(&b))
}

/// What a channel is opened with.
///
/// ```
/// use std::time::Duration;
/// use event_channels::EventsConfig;
///
/// # fn main() -> event_channels::Result<()> {
/// let config = EventsConfig::new("sqlite:app.db")?
///     .queue_table("app_events")
///     .lease(Duration::from_secs(60));
/// # Ok(()) }
/// ```
///
/// Values are checked when the channel is opened; each error names the option, the value and the
/// rule. The text of a URL is not kept, so no password can be shown.
#[derive(Debug, Clone)]
pub struct EventsConfig {
    pub(crate) url: Url,
    pub(crate) backend: Option<BackendKind>,
    pub(crate) fallback: Fallback,
    pub(crate) auto_migrate: bool,
    pub(crate) queue_table: String,
    pub(crate) lease: Duration,
    pub(crate) retention: Duration,
    pub(crate) poll_interval: Duration,
    /// Whether it was set: then it also bounds the wait inside an Oracle queue.
    pub(crate) poll_interval_asked: bool,
    pub(crate) max_attempts: u32,
    pub(crate) backoff: Backoff,
    pub(crate) handler_timeout: Option<Duration>,
    pub(crate) auto_ack: bool,
    pub(crate) concurrency: usize,
    pub(crate) prefetch: Option<usize>,
    pub(crate) drain_deadline: Duration,
    pub(crate) max_payload_bytes: usize,
    pub(crate) durability: Durability,
    pub(crate) ack_durability: AckDurability,
    pub(crate) portal_bridge: bool,
    pub(crate) name: String,
    pub(crate) in_memory: bool,
    pub(crate) fallback_table: bool,
    pub(crate) queue_grantees: Vec<String>,
    pub(crate) aq_queue: String,
    pub(crate) aq_groups: bool,
    pub(crate) aq_wait: Duration,
    pub(crate) aq_visibility: Option<AqVisibility>,
    pub(crate) direct: Option<Url>,
    pub(crate) pool_size: usize,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_deadline: Duration,
    pub(crate) listener_queue_capacity: usize,
    pub(crate) listener_overflow: Overflow,
    pub(crate) spill_table: Option<String>,
}

impl EventsConfig {
    /// The defaults, for the database that `url` names: `sqlite:path`, `sqlite::memory:`,
    /// `postgres://user@host/database` or `oracle://user@host:port/service`.
    ///
    /// # Errors
    /// `InvalidConfig` for a URL that is not understood, `NotCompiled` for a database that this
    /// version does not serve.
    pub fn new(url: impl AsRef<str>) -> Result<Self> {
        Ok(Self::of(Url::parse(url.as_ref())?.0))
    }

    /// The defaults for a database.
    pub(crate) fn of(database: Database) -> Self {
        let server = database.is_server();
        let polls_less = !matches!(database, Database::Postgres(_));
        Self {
            url: Url(database),
            backend: None,
            fallback: Fallback::Queue,
            auto_migrate: !server,
            queue_table: TableName::DEFAULT.to_owned(),
            lease: Duration::from_secs(30),
            retention: Duration::from_secs(86_400),
            poll_interval: Duration::from_millis(if polls_less { 1000 } else { 500 }),
            poll_interval_asked: false,
            max_attempts: 20,
            backoff: Backoff::default(),
            handler_timeout: None,
            auto_ack: true,
            concurrency: 1,
            prefetch: None,
            drain_deadline: Duration::from_secs(30),
            max_payload_bytes: 1024 * 1024,
            durability: Durability::Power,
            ack_durability: AckDurability::Relaxed,
            portal_bridge: true,
            name: "default".to_owned(),
            in_memory: false,
            fallback_table: true,
            queue_grantees: Vec::new(),
            aq_queue: "SQLSPEC_EVENTS_QUEUE".to_owned(),
            aq_groups: false,
            aq_wait: Duration::from_secs(5),
            aq_visibility: None,
            direct: None,
            pool_size: 8,
            heartbeat_interval: Duration::from_secs(10),
            heartbeat_deadline: Duration::from_secs(5),
            listener_queue_capacity: 10_000,
            listener_overflow: Overflow::DropOldest,
            spill_table: None,
        }
    }

    /// The database that the URL names.
    pub(crate) fn database(&self) -> &Database {
        &self.url.0
    }

    /// The queue table.
    ///
    /// # Errors
    /// `InvalidConfig` when the name breaks the rules.
    pub(crate) fn table(&self) -> Result<TableName> {
        TableName::new(&self.queue_table)
    }

    /// What the queue engine needs.
    pub(crate) fn queue_config(&self) -> Result<QueueConfig> {
        let config = QueueConfig {
            table: self.table()?,
            lease: self.lease,
            retention: self.retention,
            poll_interval: self.poll_interval,
            max_attempts: self.max_attempts,
            backoff: self.backoff,
            prefetch: self.prefetch,
            max_payload_bytes: self.max_payload_bytes,
            durability: self.durability,
            ack_durability: self.ack_durability,
            telemetry: Telemetry::named(&self.name),
        };
        config.check()?;
        self.check()?;
        Ok(config)
    }

    /// What listeners and the channel object need.
    pub(crate) fn channel_options(&self) -> ChannelOptions {
        ChannelOptions {
            telemetry: Telemetry::named(&self.name),
            handler_timeout: self.handler_timeout,
            auto_ack: self.auto_ack,
            concurrency: self.concurrency,
            prefetch: self.prefetch,
            poll_interval: self.poll_interval_asked.then_some(self.poll_interval),
            drain_deadline: self.drain_deadline,
            portal_bridge: self.portal_bridge,
        }
    }

    /// The rules that do not concern the queue alone.
    fn check(&self) -> Result<()> {
        let name = self
            .name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        let rules = [
            (
                self.concurrency >= 1,
                "concurrency must be at least 1",
                self.concurrency.to_string(),
            ),
            (
                self.handler_timeout.is_none_or(|time| !time.is_zero()),
                "handler_timeout must be greater than zero, or unset",
                "0".to_owned(),
            ),
            (
                self.listener_queue_capacity >= 1,
                "listener_queue_capacity must be a positive whole number",
                self.listener_queue_capacity.to_string(),
            ),
            (
                name && (1..=64).contains(&self.name.len()),
                "name must be 1 to 64 letters, digits, dots, hyphens or underscores",
                format!("{:?}", self.name),
            ),
            (
                self.aq_queue
                    .replace("{channel}", "C")
                    .split('.')
                    .all(is_oracle_name),
                "aq_queue must be [schema.]name of letters, digits, _, $ and #, with {channel} where it is wanted",
                format!("{:?}", self.aq_queue),
            ),
            (
                self.drain_deadline <= YEAR && self.aq_wait <= YEAR,
                "drain_deadline and aq_wait_seconds must be at most a year",
                format!("{:?} and {:?}", self.drain_deadline, self.aq_wait),
            ),
        ];
        if let Some((_, rule, value)) = rules.iter().find(|(holds, ..)| !holds) {
            return Err(Error::invalid_config(format!("{rule}, not {value}")));
        }
        match &self.spill_table {
            Some(table) => TableName::new(table).map(drop).map_err(|error| {
                error.because(format!(
                    "spill_table {table:?} is not [schema.]name of letters, digits and _"
                ))
            }),
            None => Ok(()),
        }
    }

    /// Says that options which concern another database change nothing here.
    pub(crate) fn note_ignored(&self) {
        let of_oracle = [
            ("in_memory", self.in_memory),
            ("aq_visibility", self.aq_visibility.is_some()),
            ("aq_queue", self.aq_queue != "SQLSPEC_EVENTS_QUEUE"),
            ("aq_groups", self.aq_groups),
            ("aq_wait_seconds", self.aq_wait != Duration::from_secs(5)),
        ];
        let of_postgres = [
            ("direct_url", self.direct.is_some()),
            (
                "heartbeat_interval",
                self.heartbeat_interval != Duration::from_secs(10),
            ),
            (
                "heartbeat_deadline",
                self.heartbeat_deadline != Duration::from_secs(5),
            ),
            (
                "listener_queue_capacity",
                self.listener_queue_capacity != 10_000,
            ),
            (
                "listener_overflow",
                self.listener_overflow != Overflow::DropOldest,
            ),
            ("spill_table", self.spill_table.is_some()),
        ];
        let foreign_to = |product: &str| self.database().product() != product;
        let of_servers = [("pool_size", self.pool_size != 8)];
        let foreign = of_postgres.iter().filter(|_| foreign_to("PostgreSQL"));
        let of_servers = of_servers.iter().filter(|_| !self.database().is_server());
        let of_oracle = of_oracle.iter().filter(|_| foreign_to("Oracle"));
        let ignored: Vec<&str> = foreign
            .chain(of_servers)
            .chain(of_oracle)
            .filter_map(|(key, set)| set.then_some(*key))
            .collect();
        if !ignored.is_empty() {
            tracing::debug!(
                ?ignored,
                database = self.database().product(),
                "options of other databases change nothing"
            );
        }
    }
}

impl TryFrom<&str> for EventsConfig {
    type Error = Error;

    fn try_from(url: &str) -> Result<Self> {
        Self::new(url)
    }
}

impl TryFrom<String> for EventsConfig {
    type Error = Error;

    fn try_from(url: String) -> Result<Self> {
        Self::new(url)
    }
}

impl TryFrom<&String> for EventsConfig {
    type Error = Error;

    fn try_from(url: &String) -> Result<Self> {
        Self::new(url)
    }
}

impl From<&EventsConfig> for EventsConfig {
    fn from(config: &EventsConfig) -> Self {
        config.clone()
    }
}
