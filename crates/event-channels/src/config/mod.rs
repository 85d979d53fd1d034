//! Where a channel's database is, and how the channel behaves.
//!
//! - `options` lists every option: its key, default and meaning; the book's table is made from it.
//! - `builder` has one setter per option; `file` reads the same options from TOML.
//! - `resolve` applies defaults, checks rules and chooses the backend. It touches no database.

mod builder;
mod duration;
mod file;
mod kinds;
mod names;
mod options;
mod resolve;
mod url;
mod value;

use std::fmt;
use std::time::Duration;

pub use kinds::{AqVisibility, BackendKind, DatabaseKind, Fallback, ListenerOverflow};
pub use options::{OPTIONS, OptionDoc};

use events_core::{Error, Result};
use events_queue::{AckDurability, Durability};
use kinds::known_name;
pub(crate) use resolve::{FellBack, Resolved};
pub(crate) use url::Location;
use url::{SecretUrl, UrlSource};

/// Where the database is and how the channel behaves; opened with [`EventsConfig::open`].
///
/// Every option has a default, except the database itself. Setters take any value; what breaks a
/// rule is reported when the configuration is opened or used for a migration.
///
/// ```
/// use std::time::Duration;
/// use event_channels::EventsConfig;
///
/// let config = EventsConfig::new("sqlite:app.db")?
///     .queue_table("app_events")
///     .lease(Duration::from_secs(60));
/// # Ok::<(), event_channels::Error>(())
/// ```
///
/// The same from a file; the keys are those of [`OPTIONS`]:
///
/// ```
/// # use event_channels::EventsConfig;
/// let config = EventsConfig::from_toml_str(
///     r#"
///     url = "sqlite:app.db"
///     queue_table = "app_events"
///     lease_seconds = "1m"
///     "#,
/// )?;
/// # Ok::<(), event_channels::Error>(())
/// ```
///
/// It deserialises from the same keys, so it can be a section of a larger configuration. `Debug`
/// shows what was set, and nothing of a URL but its scheme.
#[derive(Clone, Default)]
#[must_use]
pub struct EventsConfig {
    pub(crate) url: Option<UrlSource>,
    pub(crate) given: Given,
}

/// Makes the record of what was set, each field `None` until then, and what walks over its fields.
macro_rules! given {
    ($($field:ident ($key:literal): $type:ty,)*) => {
        /// What was set; the rest gets its default when the configuration is resolved.
        #[derive(Clone, Default)]
        pub(crate) struct Given {
            $(pub(crate) $field: Option<$type>,)*
        }

        impl Given {
            /// What `top` sets wins.
            fn overlay(self, top: Self) -> Self {
                Self { $($field: top.$field.or(self.$field),)* }
            }

            /// The keys of what was set.
            pub(crate) fn keys(&self) -> Vec<&'static str> {
                let mut keys = Vec::new();
                $(if self.$field.is_some() { keys.push($key); })*
                keys
            }

            fn debug(&self, f: &mut fmt::DebugStruct<'_, '_>) {
                $(if let Some(value) = &self.$field { f.field($key, value); })*
            }
        }
    };
}

given! {
    backend("backend"): BackendKind,
    fallback("fallback"): Fallback,
    name("name"): String,
    queue_table("queue_table"): String,
    auto_migrate("auto_migrate"): bool,
    lease("lease_seconds"): Duration,
    retention("retention_seconds"): Duration,
    poll_interval("poll_interval"): Duration,
    max_attempts("max_attempts"): u32,
    backoff_base("backoff_base"): Duration,
    backoff_max("backoff_max"): Duration,
    max_payload_bytes("max_payload_bytes"): usize,
    durability("durability"): Durability,
    ack_durability("ack_durability"): AckDurability,
    auto_ack("auto_ack"): bool,
    concurrency("concurrency"): usize,
    prefetch("prefetch"): Option<usize>,
    handler_timeout("handler_timeout"): Option<Duration>,
    drain_deadline("drain_deadline"): Duration,
    portal_bridge("portal_bridge"): bool,
    listener_queue_capacity("listener_queue_capacity"): usize,
    listener_overflow("listener_overflow"): ListenerOverflow,
    spill_table("spill_table"): String,
    in_memory("in_memory"): bool,
    aq_queue("aq_queue"): String,
    aq_wait("aq_wait_seconds"): Duration,
    aq_visibility("aq_visibility"): AqVisibility,
}

impl EventsConfig {
    /// A configuration with this database and defaults for everything else.
    ///
    /// # Errors
    /// `InvalidConfig` when the URL has none of the accepted forms.
    pub fn new(url: impl Into<String>) -> Result<Self> {
        let url = SecretUrl::new(url.into());
        url.parse()?;
        Ok(Self {
            url: Some(UrlSource::Url(url)),
            given: Given::default(),
        })
    }

    /// This configuration with what `top` sets in place of its own, so that layers of
    /// configuration can be put on each other, the strongest last.
    pub fn overlay(self, top: Self) -> Self {
        Self {
            url: top.url.or(self.url),
            given: self.given.overlay(top.given),
        }
    }

    /// Whether a database was named, by `url` or by `url_env`.
    #[must_use]
    pub fn has_url(&self) -> bool {
        self.url.is_some()
    }
}

impl fmt::Debug for EventsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("EventsConfig");
        match &self.url {
            Some(UrlSource::Url(url)) => shown.field("url", url),
            Some(UrlSource::Env(variable)) => shown.field("url_env", variable),
            None => &mut shown,
        };
        self.given.debug(&mut shown);
        shown.finish()
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
        Self::new(url.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stronger_layer_wins_and_the_weaker_fills_in() {
        let file = EventsConfig::new("sqlite:file.db")
            .unwrap()
            .queue_table("from_file")
            .max_attempts(3);
        let flags = EventsConfig::default()
            .url("sqlite:flag.db")
            .queue_table("from_flag");
        let both = file.overlay(flags).resolve().unwrap();
        assert_eq!(both.location, Location::File("flag.db".into()));
        assert_eq!(both.queue.table.to_string(), "from_flag");
        assert_eq!(both.queue.max_attempts, 3);
    }

    #[test]
    fn a_stronger_url_makes_a_missing_variable_harmless() {
        let file = EventsConfig::default().url_env("EVENTS_TEST_NO_SUCH_VARIABLE");
        assert!(file.clone().resolve().is_err());
        let flags = EventsConfig::default().url("sqlite::memory:");
        assert!(file.overlay(flags).resolve().is_ok());
    }

    #[test]
    fn debug_shows_what_was_set_and_no_secret() {
        let config = EventsConfig::new("postgres://ada:canary@db.example/app?password=canary")
            .unwrap()
            .queue_table("app_events");
        let shown = format!("{config:?}");
        assert!(!shown.contains("canary") && !shown.contains("ada"), "{shown}");
        assert!(shown.contains("postgres://…"), "{shown}");
        assert!(shown.contains("app_events"), "{shown}");
        assert!(!shown.contains("lease_seconds"), "{shown}");
    }
}
