//! Configuration files: TOML, every option a key at top level.

use std::path::Path;
use std::time::Duration;

use events_core::{Error, Result};
use events_queue::{AckDurability, Durability};
use toml::{Table, Value};

use super::keys::unknown;
use super::{AqVisibility, BackendKind, EventsConfig, Fallback, Overflow, parse_duration};

impl EventsConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// `InvalidConfig` when the file cannot be read, or as [`EventsConfig::from_toml_str`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::from_toml_str(&read_file(path)?).map_err(|error| in_file(path, error))
    }

    /// Reads a configuration file that may leave the URL out; then `url` is used.
    ///
    /// # Errors
    /// As [`EventsConfig::from_file`].
    pub fn from_file_or(path: impl AsRef<Path>, url: &str) -> Result<Self> {
        let path = path.as_ref();
        let text = read_file(path)?;
        let own = read(&text)
            .is_ok_and(|table| table.contains_key("url") || table.contains_key("url_env"));
        let config = if own {
            Self::from_toml_str(&text)
        } else {
            Self::new(url)?.with_toml_str(&text)
        };
        config.map_err(|error| in_file(path, error))
    }

    /// Reads the text of a configuration file. It must have `url` or `url_env`.
    ///
    /// # Errors
    /// `InvalidConfig` for text that is no TOML, an unknown key, or a value that breaks a rule.
    pub fn from_toml_str(text: &str) -> Result<Self> {
        let mut table = read(text)?;
        let url = match (
            take_text(&mut table, "url")?,
            take_text(&mut table, "url_env")?,
        ) {
            (Some(url), None) => url,
            (None, Some(variable)) => std::env::var(&variable).map_err(|_| {
                Error::invalid_config(format!(
                    "url_env names {variable}, which is not set in the environment"
                ))
            })?,
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
        Self::new(url)?.apply(table)
    }

    /// This configuration with the options of a file that may leave the URL out.
    ///
    /// # Errors
    /// As [`EventsConfig::from_toml_str`].
    pub fn with_toml_str(self, text: &str) -> Result<Self> {
        let mut table = read(text)?;
        for key in ["url", "url_env"] {
            take_text(&mut table, key)?;
        }
        self.apply(table)
    }

    fn apply(mut self, table: Table) -> Result<Self> {
        if table.contains_key("backend") && table.contains_key("events_backend") {
            return Err(Error::invalid_config(
                "backend and events_backend are the same option; keep one",
            ));
        }
        let alias_wins = table.contains_key("event_poll_interval");
        for (key, value) in &table {
            let shadowed = key == "poll_interval" && alias_wins;
            let kept = self.poll_interval;
            self = self.set(key, value)?;
            if shadowed {
                self.poll_interval = kept;
            }
        }
        Ok(self)
    }

    fn set(self, key: &str, value: &Value) -> Result<Self> {
        let item = Item { key, value };
        Ok(match key {
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
            "in_memory" => self.in_memory(item.flag()?),
            "aq_queue" => self.aq_queue(item.text()?),
            "aq_wait_seconds" => self.aq_wait(item.duration()?),
            "aq_visibility" => self.aq_visibility(AqVisibility::parse(item.text()?)?),
            "listener_queue_capacity" => self.listener_queue_capacity(item.whole()?),
            "listener_overflow" => self.listener_overflow(Overflow::parse(item.text()?)?),
            "spill_table" => self.spill_table(item.text()?),
            _ => return Err(unknown(key)),
        })
    }
}

fn read_file(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| {
        Error::invalid_config(format!("{}: the file cannot be read", path.display())).caused_by(e)
    })
}

fn in_file(path: &Path, error: Error) -> Error {
    let detail = format!("{}: {}", path.display(), error.detail().unwrap_or_default());
    error.because(detail)
}

fn read(text: &str) -> Result<Table> {
    // The parser's own message quotes the line, which may hold a password.
    text.parse::<Table>().map_err(|e| {
        let start = e.span().map_or(0, |span| span.start);
        let line = text.as_bytes()[..start.min(text.len())]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            + 1;
        Error::invalid_config(format!("line {line} is no TOML: {}", e.message()))
    })
}

fn take_text(table: &mut Table, key: &str) -> Result<Option<String>> {
    match table.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Error::invalid_config(format!(
            "{key} must be a string, not a {}",
            other.type_str()
        ))),
    }
}

/// A key with its value, and what can be made of it.
struct Item<'a> {
    key: &'a str,
    value: &'a Value,
}

impl<'a> Item<'a> {
    fn bad(&self, rule: &str) -> Error {
        let shown: String = self.value.to_string().chars().take(64).collect();
        Error::invalid_config(format!("{} must be {rule}, not {shown}", self.key))
    }

    fn text(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.bad("a string"))
    }

    /// Whether it is the word that stands for the default.
    fn is(&self, word: &str) -> bool {
        self.value.as_str() == Some(word)
    }

    fn flag(&self) -> Result<bool> {
        self.value
            .as_bool()
            .ok_or_else(|| self.bad("true or false"))
    }

    fn whole<T: TryFrom<i64>>(&self) -> Result<T> {
        let number = self.value.as_integer().filter(|n| *n >= 1);
        number
            .and_then(|n| T::try_from(n).ok())
            .ok_or_else(|| self.bad("a positive whole number"))
    }

    fn duration(&self) -> Result<Duration> {
        let rule =
            "a number of seconds, or a string like \"250ms\", \"5s\", \"2m\", \"1h\" or \"1d\"";
        let seconds = match self.value {
            Value::Integer(n) => u64::try_from(*n).ok().map(Duration::from_secs),
            Value::Float(f) => Duration::try_from_secs_f64(*f).ok(),
            Value::String(text) => parse_duration(text).ok(),
            _ => None,
        };
        seconds.ok_or_else(|| self.bad(rule))
    }

    fn one_of<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T> {
        let text = self.text()?;
        choices
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
                self.bad(&format!("one of {}", names.join(", ")))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::super::OPTIONS;
    use super::*;

    fn config(keys: &str) -> Result<EventsConfig> {
        EventsConfig::from_toml_str(&format!("url = 'sqlite::memory:'\n{keys}"))
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
        ("in_memory", "true", "1"),
        ("aq_queue", "'Q'", "[]"),
        ("aq_wait_seconds", "10", "'x'"),
        ("aq_visibility", "'AQMSG_VISIBLE'", "'VISIBLE'"),
        ("listener_queue_capacity", "5", "true"),
        ("listener_overflow", "'block'", "'drop'"),
        ("spill_table", "'spilled'", "1"),
    ];

    #[test]
    fn every_option_is_read_and_refuses_a_bad_value_with_key_and_value() {
        for (key, good, bad) in VALUES {
            config(&format!("{key} = {good}")).unwrap_or_else(|e| panic!("{key}: {e}"));
            let error = config(&format!("{key} = {bad}")).unwrap_err().to_string();
            let shown = bad.trim_matches('\'');
            assert!(
                error.contains(key) && error.contains(shown),
                "{key} = {bad}: {error}"
            );
        }
        let tested =
            |key: &str| VALUES.iter().any(|(name, ..)| *name == key) || key.starts_with("url");
        let untested: Vec<_> = OPTIONS
            .iter()
            .filter(|option| !tested(option.key))
            .collect();
        assert!(untested.is_empty(), "{untested:?}");
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
