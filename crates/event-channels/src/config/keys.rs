//! The names of the options: for files, for errors about typos, and for the documentation.

use events_core::Error;

use super::retired;

/// What the documentation says of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionDoc {
    /// The key in a file.
    pub key: &'static str,
    /// The default, as it would be written.
    pub default: &'static str,
    /// The databases on which it changes something.
    pub databases: &'static str,
    /// What it means, in a sentence.
    pub meaning: &'static str,
}

const fn option(
    key: &'static str,
    default: &'static str,
    databases: &'static str,
    meaning: &'static str,
) -> OptionDoc {
    OptionDoc {
        key,
        default,
        databases,
        meaning,
    }
}

/// Every option of a configuration file.
pub const OPTIONS: &[OptionDoc] = &[
    option(
        "url",
        "*required*",
        "all",
        "Where the database is; or `url_env`.",
    ),
    option(
        "url_env",
        "*unset*",
        "all",
        "The environment variable that holds the URL.",
    ),
    option(
        "backend",
        "by database",
        "all",
        "`poll_queue`, `notify`, `notify_queue`, `aq` or `txeventq`.",
    ),
    option(
        "fallback",
        "`queue`",
        "all",
        "`queue`: use the queue table where the backend is missing; `error`: refuse.",
    ),
    option(
        "auto_migrate",
        "`true` on SQLite",
        "all",
        "Create or update the tables when a channel is opened.",
    ),
    option(
        "queue_table",
        "`sqlspec_event_queue`",
        "all",
        "Table name used by migrations and at run time, `[schema.]name`.",
    ),
    option(
        "lease_seconds",
        "`30`",
        "all",
        "How long a consumer holds an event before it can be claimed again.",
    ),
    option(
        "retention_seconds",
        "`86400`",
        "all",
        "How long acknowledged events stay readable; `0` deletes on ack.",
    ),
    option(
        "poll_interval",
        "`1`, on PostgreSQL `0.5`",
        "all",
        "The longest wait between two looks at the database; also `event_poll_interval`, which wins.",
    ),
    option(
        "max_attempts",
        "`20`",
        "all",
        "After this many claims without an ack an event becomes a dead letter.",
    ),
    option(
        "backoff_base",
        "`1`",
        "all",
        "The upper bound of the wait before the first retry; it doubles from there.",
    ),
    option(
        "backoff_max",
        "`3600`",
        "all",
        "The upper bound of every wait before a retry.",
    ),
    option(
        "handler_timeout",
        "*unset*",
        "all",
        "How long a handler may run before its event is taken from it.",
    ),
    option(
        "auto_ack",
        "`true`",
        "all",
        "Listeners acknowledge what their handler handled.",
    ),
    option(
        "concurrency",
        "`1`",
        "all",
        "How many events a listener handles at the same time.",
    ),
    option(
        "prefetch",
        "adapts",
        "all",
        "How many events are held ahead of their handling, 1 to 128.",
    ),
    option(
        "drain_deadline",
        "`30`",
        "all",
        "How long handlers may finish when they are stopped.",
    ),
    option(
        "max_payload_bytes",
        "`1048576`",
        "all",
        "The largest payload in bytes of JSON, at most 16 MiB.",
    ),
    option(
        "durability",
        "`power`",
        "all",
        "What a published event survives: `power` (loss) or `process` (end).",
    ),
    option(
        "ack_durability",
        "`relaxed`",
        "all",
        "`relaxed`: power loss may repeat the last events; `strict`: it does not.",
    ),
    option(
        "portal_bridge",
        "`true`",
        "all",
        "Blocking code may use the channel.",
    ),
    option(
        "name",
        "`default`",
        "all",
        "Prefix of the counters in snapshots; channels of one name share them.",
    ),
    option(
        "password_env",
        "*unset*",
        "Oracle",
        "The environment variable that holds the password of a URL without one; else `EVENTS_ORACLE_PASSWORD`.",
    ),
    option(
        "in_memory",
        "`false`",
        "Oracle",
        "Migrations add `INMEMORY PRIORITY HIGH` to the queue table.",
    ),
    option(
        "aq_queue",
        "`SQLSPEC_EVENTS_QUEUE`",
        "Oracle",
        "The queue of the native backends.",
    ),
    option(
        "aq_groups",
        "`false`",
        "Oracle",
        "Consumer groups on the native backends, in a queue for multiple consumers.",
    ),
    option(
        "aq_wait_seconds",
        "`5`",
        "Oracle",
        "How long one dequeue waits.",
    ),
    option(
        "aq_visibility",
        "*unset*",
        "Oracle",
        "`on_commit` (also `AQMSG_VISIBLE`) or `immediate`.",
    ),
    option(
        "direct_url",
        "*unset*",
        "PostgreSQL",
        "Past a proxy that pools by transaction, for the connection that listens; or `direct_url_env`.",
    ),
    option(
        "direct_url_env",
        "*unset*",
        "PostgreSQL",
        "The environment variable that holds that URL.",
    ),
    option(
        "pool_size",
        "`8`",
        "PostgreSQL, Oracle",
        "The most connections that the pool makes.",
    ),
    option(
        "heartbeat_interval",
        "`10`",
        "PostgreSQL",
        "How often the connection that listens proves that it lives.",
    ),
    option(
        "heartbeat_deadline",
        "`5`",
        "PostgreSQL",
        "How long the proof may take before the connection counts as lost.",
    ),
    option(
        "listener_queue_capacity",
        "`10000`",
        "PostgreSQL",
        "How many native events wait for a slow consumer.",
    ),
    option(
        "listener_overflow",
        "`drop_oldest`",
        "PostgreSQL",
        "`drop_oldest`, `drop_newest`, `block` or `error` when that many wait.",
    ),
    option(
        "spill_table",
        "*unset*",
        "PostgreSQL",
        "The table for events that a notification cannot carry; without it they are refused.",
    ),
];

/// Other names of the same options.
const ALIASES: &[&str] = &["events_backend", "event_poll_interval"];

/// The sections of the Python configuration that this one replaces.
const SECTIONS: &[&str] = &[
    "extension_config",
    "driver_features",
    "events",
    "migration_config",
    "pool_config",
];

/// The error for a key that is no option.
pub(super) fn unknown(key: &str) -> Error {
    if SECTIONS.contains(&key) {
        return Error::invalid_config(format!(
            "section {key:?} is not read; options are top-level keys here, such as queue_table = \"app_events\""
        ));
    }
    if let Some(way_out) = retired::way_out(key) {
        return Error::invalid_config(format!("option {key:?} is not one here; {way_out}"));
    }
    let shown: String = key.chars().take(64).collect();
    let names = || {
        OPTIONS
            .iter()
            .map(|option| option.key)
            .chain(ALIASES.iter().copied())
    };
    let longer = names().find(|name| shown.len() >= 3 && name.starts_with(&shown));
    let (distance, closest) = names()
        .map(|name| (strsim::damerau_levenshtein(name, &shown), name))
        .min_by_key(|(distance, _)| *distance)
        .expect("there are options");
    let near = distance <= closest.len().max(shown.len()) / 2;
    let hint = match longer.or(near.then_some(closest)) {
        Some(name) => format!("did you mean {name:?}?"),
        None => {
            format!("the closest is {closest:?}, and all are listed in docs/src/configuration.md")
        }
    };
    Error::invalid_config(format!("there is no option {shown:?}; {hint}"))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn table() -> String {
        let mut table =
            String::from("| Key | Default | Database | Meaning |\n| --- | --- | --- | --- |\n");
        for option in OPTIONS {
            let OptionDoc {
                key,
                default,
                databases,
                meaning,
            } = option;
            let _ = writeln!(table, "| `{key}` | {default} | {databases} | {meaning} |");
        }
        table
    }

    /// `UPDATE_DOCS=1 cargo test -p event-channels documentation` writes the table.
    #[test]
    fn the_documentation_lists_every_option() {
        let page = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/src/configuration.md"
        );
        let text = std::fs::read_to_string(page).unwrap();
        let (before, rest) = text.split_once("<!-- options -->\n").unwrap();
        let (shown, after) = rest.split_once("<!-- /options -->").unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let updated = format!(
                "{before}<!-- options -->\n{}<!-- /options -->{after}",
                table()
            );
            return std::fs::write(page, updated).unwrap();
        }
        assert_eq!(
            shown,
            table(),
            "run with UPDATE_DOCS=1 to update docs/src/configuration.md"
        );
    }

    #[test]
    fn typos_are_told_the_nearest_key() {
        for (typo, key) in [
            ("queue_tabel", "queue_table"),
            ("lease", "lease_seconds"),
            ("max_attempt", "max_attempts"),
        ] {
            let error = unknown(typo).to_string();
            assert!(error.contains(&format!("did you mean {key:?}")), "{error}");
        }
        let far = unknown("jjjjjjjjjjjjjjjjjjjjjjj").to_string();
        assert!(
            far.contains("the closest is \"url\"") && far.contains("configuration.md"),
            "{far}"
        );
        assert!(
            unknown("extension_config")
                .to_string()
                .contains("top-level")
        );
    }
}
