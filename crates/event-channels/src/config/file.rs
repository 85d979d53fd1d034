//! Configuration from files and through serde: every option a key at top level.

use std::path::Path;

use events_core::{Error, Overflow, Result};
use events_queue::{AckDurability, Durability};
use serde::{Deserialize, Deserializer};

use super::keys::unknown;
use super::values::{Item, Keys};
use super::{AqVisibility, BackendKind, EventsConfig, Fallback};

/// As a part of a configuration of your own, in any format that names its keys: the same keys,
/// values and errors as in a file.
///
/// ```
/// use event_channels::EventsConfig;
///
/// #[derive(serde::Deserialize)]
/// struct Settings {
///     workers: u8,
///     events: EventsConfig,
/// }
///
/// let text = r#"{"workers": 4, "events": {"url": "sqlite:app.db", "lease_seconds": "2m"}}"#;
/// let settings: Settings = serde_json::from_str(text)?;
/// # assert_eq!(settings.workers, 4);
/// # let _ = settings.events;
/// # Ok::<(), serde_json::Error>(())
/// ```
impl<'de> Deserialize<'de> for EventsConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = Self::from_keys(Keys::deserialize(deserializer)?);
        config.map_err(|error| {
            let text = error
                .detail()
                .map_or_else(|| error.to_string(), str::to_owned);
            serde::de::Error::custom(text)
        })
    }
}

impl EventsConfig {
    /// Reads a configuration file in TOML.
    ///
    /// # Errors
    /// `InvalidConfig` when the file cannot be read, or as [`EventsConfig::from_toml_str`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let config = read_file(path).and_then(|text| Self::from_toml_str(&text));
        config.map_err(|error| in_file(path, error))
    }

    /// Reads a configuration file that may leave the URL out; then `url` is used.
    ///
    /// # Errors
    /// As [`EventsConfig::from_file`].
    pub fn from_file_or(path: impl AsRef<Path>, url: &str) -> Result<Self> {
        let path = path.as_ref();
        let config = read_file(path)
            .and_then(|text| read(&text))
            .and_then(|keys| {
                if keys.has("url") || keys.has("url_env") {
                    Self::from_keys(keys)
                } else {
                    Self::new(url)?.apply(&keys)
                }
            });
        config.map_err(|error| in_file(path, error))
    }

    /// Reads the text of a configuration file. It must have `url` or `url_env`.
    ///
    /// # Errors
    /// `InvalidConfig` for text that is no TOML, an unknown key, or a value that breaks a rule.
    pub fn from_toml_str(text: &str) -> Result<Self> {
        Self::from_keys(read(text)?)
    }

    /// This configuration with the options of a file that may leave the URL out.
    ///
    /// # Errors
    /// As [`EventsConfig::from_toml_str`].
    pub fn with_toml_str(self, text: &str) -> Result<Self> {
        let mut keys = read(text)?;
        for key in ["url", "url_env"] {
            keys.take_text(key)?;
        }
        self.apply(&keys)
    }

    fn from_keys(mut keys: Keys) -> Result<Self> {
        let url = match (keys.take_text("url")?, keys.take_text("url_env")?) {
            (Some(url), None) => url,
            (None, Some(variable)) => from_environment("url_env", &variable)?,
            (Some(_), Some(_)) => {
                return Err(Error::invalid_config(
                    "url and url_env are both set; keep one",
                ));
            }
            (None, None) => {
                return Err(Error::invalid_config(
                    "url is missing; write url = \"sqlite:app.db\", or url_env",
                ));
            }
        };
        Self::new(url)?.apply(&keys)
    }

    fn apply(mut self, keys: &Keys) -> Result<Self> {
        for (one, other) in [
            ("backend", "events_backend"),
            ("direct_url", "direct_url_env"),
        ] {
            if keys.has(one) && keys.has(other) {
                return Err(Error::invalid_config(format!(
                    "{one} and {other} are the same option; keep one"
                )));
            }
        }
        let alias_wins = keys.has("event_poll_interval");
        for item in keys.items() {
            let shadowed = item.key == "poll_interval" && alias_wins;
            let kept = self.poll_interval;
            self = self.set(item)?;
            if shadowed {
                self.poll_interval = kept;
            }
        }
        Ok(self)
    }

    fn set(self, item: Item<'_>) -> Result<Self> {
        Ok(match item.key {
            "backend" | "events_backend" => self.backend(BackendKind::parse(item.text()?)?),
            "fallback" => self.fallback(Fallback::parse(item.text()?)?),
            "auto_migrate" => self.auto_migrate(item.flag()?),
            "queue_table" => self.queue_table(item.text()?),
            "lease_seconds" => self.lease(item.duration()?),
            "retention_seconds" => self.retention(item.duration()?),
            "poll_interval" | "event_poll_interval" => self.poll_interval(item.duration()?),
            "max_attempts" => self.max_attempts(item.whole()?),
            "backoff_base" => self.backoff_base(item.duration()?),
            "backoff_max" => self.backoff_max(item.duration()?),
            "handler_timeout" if item.is("none") => self.handler_timeout(None),
            "handler_timeout" => self.handler_timeout(item.duration()?),
            "auto_ack" => self.auto_ack(item.flag()?),
            "concurrency" => self.concurrency(item.whole()?),
            "prefetch" if item.is("auto") => self.prefetch(None),
            "prefetch" => self.prefetch(item.whole::<usize>()?),
            "drain_deadline" => self.drain_deadline(item.duration()?),
            "max_payload_bytes" => self.max_payload_bytes(item.whole()?),
            "durability" => self.durability(item.one_of(&[
                ("power", Durability::Power),
                ("process", Durability::Process),
            ])?),
            "ack_durability" => self.ack_durability(item.one_of(&[
                ("relaxed", AckDurability::Relaxed),
                ("strict", AckDurability::Strict),
            ])?),
            "portal_bridge" => self.portal_bridge(item.flag()?),
            "name" => self.name(item.text()?),
            // It is for a URL without one, so a URL from the command line brings its own.
            "password_env" if self.has_password() => {
                item.text()?;
                tracing::debug!("password_env is not used: the URL has a password");
                self
            }
            "password_env" => self.password(from_environment(item.key, item.text()?)?),
            "in_memory" => self.in_memory(item.flag()?),
            "aq_queue" => self.aq_queue(item.text()?),
            "aq_groups" => self.aq_groups(item.flag()?),
            "aq_wait_seconds" => self.aq_wait(item.duration()?),
            "aq_visibility" => self.aq_visibility(AqVisibility::parse(item.text()?)?),
            "listener_queue_capacity" => self.listener_queue_capacity(item.whole()?),
            "listener_overflow" => self.listener_overflow(item.one_of(&[
                ("drop_oldest", Overflow::DropOldest),
                ("drop_newest", Overflow::DropNewest),
                ("block", Overflow::Block),
                ("error", Overflow::Error),
            ])?),
            "direct_url" => self.direct_url(item.text()?)?,
            "direct_url_env" => self.direct_url(from_environment(item.key, item.text()?)?)?,
            "pool_size" => self.pool_size(item.whole()?),
            "heartbeat_interval" => self.heartbeat_interval(item.duration()?),
            "heartbeat_deadline" => self.heartbeat_deadline(item.duration()?),
            "spill_table" => self.spill_table(item.text()?),
            key => return Err(unknown(key)),
        })
    }
}

fn read_file(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|e| Error::invalid_config("the file cannot be read").caused_by(e))
}

fn from_environment(key: &str, variable: &str) -> Result<String> {
    std::env::var(variable).map_err(|_| {
        Error::invalid_config(format!(
            "{key} names {variable}, which is not set in the environment"
        ))
    })
}

fn in_file(path: &Path, error: Error) -> Error {
    let detail = format!("{}: {}", path.display(), error.detail().unwrap_or_default());
    error.because(detail)
}

fn read(text: &str) -> Result<Keys> {
    // The parser's own message quotes the line, which may hold a password.
    toml::from_str(text).map_err(|e| {
        let start = e.span().map_or(0, |span| span.start);
        let line = text.as_bytes()[..start.min(text.len())]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            + 1;
        Error::invalid_config(format!("line {line} is no TOML: {}", e.message()))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::OPTIONS;
    use super::*;

    fn config(keys: &str) -> Result<EventsConfig> {
        EventsConfig::from_toml_str(&format!("url = 'sqlite::memory:'\n{keys}"))
    }

    /// The same keys in another format.
    fn from_json(keys: &str) -> Result<EventsConfig, serde_json::Error> {
        let keys = keys.replace('\'', "\"");
        serde_json::from_str(&format!("{{\"url\": \"sqlite::memory:\"{keys}}}"))
    }

    /// Each option with a good value, and one that is refused with its key and value.
    const VALUES: &[(&str, &str, &str)] = &[
        ("backend", "'notify'", "'kafka'"),
        ("fallback", "'error'", "'maybe'"),
        ("auto_migrate", "false", "'yes'"),
        ("queue_table", "'app.events'", "7"),
        ("lease_seconds", "60", "-1"),
        ("retention_seconds", "0", "'soon'"),
        ("poll_interval", "'250ms'", "true"),
        ("max_attempts", "3", "0"),
        ("backoff_base", "0.5", "[]"),
        ("backoff_max", "'1d'", "'1 day'"),
        ("handler_timeout", "'5s'", "'5 s'"),
        ("auto_ack", "false", "0"),
        ("concurrency", "4", "0"),
        ("prefetch", "16", "1.5"),
        ("drain_deadline", "1", "-0.5"),
        ("max_payload_bytes", "2048", "'1k'"),
        ("durability", "'process'", "'none'"),
        ("ack_durability", "'strict'", "'lax'"),
        ("portal_bridge", "false", "1"),
        ("name", "'billing'", "1"),
        ("password_env", "'PATH'", "'EVENTS_TEST_NO_SUCH_VARIABLE'"),
        ("in_memory", "true", "1"),
        ("aq_queue", "'Q'", "[]"),
        ("aq_groups", "true", "'some'"),
        ("aq_wait_seconds", "10", "'x'"),
        ("aq_visibility", "'AQMSG_VISIBLE'", "'VISIBLE'"),
        ("pool_size", "3", "0"),
        ("heartbeat_interval", "'200ms'", "'often'"),
        ("heartbeat_deadline", "0.1", "[]"),
        #[cfg(any(feature = "pg-native", feature = "queue-pg"))]
        ("direct_url", "'postgres://localhost/db'", "7"),
        ("listener_queue_capacity", "5", "true"),
        ("listener_overflow", "'block'", "'drop'"),
        ("spill_table", "'spilled'", "1"),
    ];

    #[test]
    fn every_option_is_read_and_refuses_a_bad_value_with_key_and_value() {
        for (key, good, bad) in VALUES {
            let read = config(&format!("{key} = {good}")).unwrap_or_else(|e| panic!("{key}: {e}"));
            let error = config(&format!("{key} = {bad}")).unwrap_err();
            let shown = match *bad {
                "[]" => "a list",
                text => text.trim_matches('\''),
            };
            let text = error.detail().unwrap();
            assert!(
                text.contains(key) && text.contains(shown),
                "{key} = {bad}: {text}"
            );
            // Another format reads the same, and says the same.
            let other = from_json(&format!(", '{key}': {good}"));
            let other = other.unwrap_or_else(|e| panic!("{key}: {e}"));
            assert_eq!(format!("{read:?}"), format!("{other:?}"));
            let other = from_json(&format!(", '{key}': {bad}")).unwrap_err();
            assert!(other.to_string().starts_with(text), "{other}");
        }
        // URLs have tests of their own.
        let tested =
            |key: &str| VALUES.iter().any(|(name, ..)| *name == key) || key.contains("url");
        let untested: Vec<_> = OPTIONS
            .iter()
            .filter(|option| !tested(option.key))
            .collect();
        assert!(untested.is_empty(), "{untested:?}");
    }

    #[cfg(feature = "queue-oracle")]
    #[test]
    fn the_password_of_a_url_goes_before_that_of_a_variable() {
        // `PATH` is set and is no password.
        let path = std::env::var("PATH").unwrap();
        for (url, password) in [
            ("oracle://app@h/s", path.as_str()),
            ("oracle://app:tiger@h/s", "tiger"),
        ] {
            let text = format!("password_env = 'PATH'\nurl = '{url}'");
            let read = EventsConfig::from_toml_str(&text).unwrap();
            let plain = EventsConfig::new(url).unwrap().password(password);
            let server = |config: &EventsConfig| match config.database() {
                super::super::Database::Oracle(server) => server.clone(),
                other => panic!("{url}: {other:?}"),
            };
            assert!(server(&read) == server(&plain), "{url}");
        }
        // Then the variable is not even looked at.
        let text = "password_env = 'EVENTS_TEST_NO_SUCH_VARIABLE'";
        let set = EventsConfig::new("oracle://app:tiger@h/s").unwrap();
        set.with_toml_str(text).unwrap();
        let unset = EventsConfig::new("oracle://app@h/s").unwrap();
        let error = unset.with_toml_str(text).unwrap_err();
        assert!(error.to_string().contains("EVENTS_TEST_NO_SUCH_VARIABLE"));
    }

    #[test]
    fn listener_queue_capacity_is_a_positive_whole_number() {
        for bad in ["true", "false", "0", "-1", "1.5", "'1'", "[]"] {
            let error = config(&format!("listener_queue_capacity = {bad}"))
                .unwrap_err()
                .to_string();
            assert!(error.contains("positive whole number"), "{bad}: {error}");
        }
    }

    #[test]
    fn words_that_stand_for_the_default() {
        let words = config("prefetch = 'auto'\nhandler_timeout = 'none'").unwrap();
        assert_eq!((words.prefetch, words.handler_timeout), (None, None));
    }

    #[test]
    fn as_a_part_of_another_configuration() {
        #[derive(Debug, Deserialize)]
        struct Settings {
            events: EventsConfig,
        }
        let text = "[events]\nurl = 'sqlite:app.db'\nevents_backend = 'queue'\npoll_interval = 9\nevent_poll_interval = '250ms'";
        let read = toml::from_str::<Settings>(text).unwrap().events;
        assert_eq!(read.poll_interval, Duration::from_millis(250));
        assert_eq!(read.backend, Some(BackendKind::PollQueue));
        for (keys, hint) in [
            (", 'queue_tabel': 1", "did you mean \"queue_table\"?"),
            (", 'manage_schema': true", "auto_migrate"),
            (", 'extension_config': {'events': {}}", "top-level keys"),
            (", 'lease_seconds': null", "not nothing"),
            (", 'lease_seconds': {'secs': 1}", "not a table"),
            (
                ", 'max_attempts': 18446744073709551615",
                "positive whole number",
            ),
            (", 'name': 'a', 'name': 'b'", "\"name\" stands there twice"),
            (", 'url_env': 'X'", "keep one"),
        ] {
            let error = from_json(keys).unwrap_err().to_string();
            assert!(error.contains(hint), "{keys}: {error}");
        }
        let secret = r#"{"url": {"password": "canary"}}"#;
        let error = serde_json::from_str::<EventsConfig>(secret).unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
        assert!(
            error
                .to_string()
                .contains("url must be a string, not a table"),
            "{error}"
        );
        let missing = serde_json::from_str::<EventsConfig>("{}").unwrap_err();
        assert!(missing.to_string().contains("url is missing"), "{missing}");
    }

    #[test]
    fn aliases() {
        let both = config("poll_interval = 9\nevent_poll_interval = 2").unwrap();
        assert_eq!(both.poll_interval, Duration::from_secs(2));
        assert_eq!(
            config("events_backend = 'oracle_aq'").unwrap().backend,
            Some(BackendKind::Aq)
        );
        assert!(config("backend = 'aq'\nevents_backend = 'aq'").is_err());
    }

    #[test]
    fn the_url_is_required_once_and_a_broken_file_shows_no_line() {
        assert!(
            EventsConfig::from_toml_str("")
                .unwrap_err()
                .to_string()
                .contains("url is missing")
        );
        let both = "url = 'sqlite::memory:'\nurl_env = 'X'";
        assert!(
            EventsConfig::from_toml_str(both)
                .unwrap_err()
                .to_string()
                .contains("keep one")
        );
        let broken = EventsConfig::from_toml_str("name = 'x'\nurl = 'canary").unwrap_err();
        assert!(broken.to_string().contains("line 2"), "{broken}");
        assert!(!format!("{broken:?}").contains("canary"));
    }
}
