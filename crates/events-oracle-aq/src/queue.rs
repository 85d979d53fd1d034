//! The queue of a channel: its name, its payload, and what a dequeue on it is for.

use events_core::{ChannelName, Error, ErrorKind, Op, Result};
use events_oracle_session::{Columns as _, Session, Value, oracle};

use crate::sql;

/// What precedes the channel in the correlation of its dead letters.
pub(crate) const DEAD: char = '!';

const CHANNEL: &str = "{channel}";

/// A name, or a pattern of one, of queues.
#[derive(Debug, Clone)]
pub(crate) struct QueueName(String);

impl QueueName {
    /// Checks `[SCHEMA.]NAME` with `{channel}` where it is wanted.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let plain = text.replace(CHANNEL, "c");
        let identifier = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic())
                && part.len() <= 128
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_$#".contains(&b))
        };
        if plain.split('.').count() > 2 || !plain.split('.').all(identifier) {
            return Err(Error::invalid_config(format!(
                "aq_queue must be [schema.]name of letters, digits, _, $ and #, with {{channel}} where it is wanted, not {text:?}"
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether each channel has a queue of its own.
    pub(crate) fn is_template(&self) -> bool {
        self.0.contains(CHANNEL)
    }

    /// The name for a channel, upper case as Oracle knows it.
    pub(crate) fn of(&self, channel: &ChannelName) -> String {
        self.0
            .replace(CHANNEL, channel.as_str())
            .to_ascii_uppercase()
    }

    /// Which messages of its queue are those of a channel.
    ///
    /// The correlation is compared exactly: as a pattern, `_` and `%` would match other channels.
    /// A message without one was put by another program; in a channel's own queue it is the channel's.
    pub(crate) fn condition(&self, channel: &ChannelName) -> String {
        self.correlations("tab.corrid", &[channel.as_str()])
    }

    /// Which messages have one of these correlations in a column, or none in a channel's own queue.
    /// The server joins it to its own conditions: OR needs parentheses.
    pub(crate) fn correlations(&self, column: &str, wanted: &[&str]) -> String {
        let list = wanted.join("', '");
        if self.is_template() {
            format!("({column} IN ('{list}') OR {column} IS NULL)")
        } else {
            format!("{column} IN ('{list}')")
        }
    }
}

/// The correlation of a channel's dead letters. No channel has such a name, so no consumer gets one.
pub(crate) fn dead(channel: &ChannelName) -> String {
    format!("{DEAD}{channel}")
}

/// How a queue carries payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PayloadKind {
    /// As JSON, from 21c on.
    Json,
    /// As the bytes of JSON text.
    Raw,
}

impl PayloadKind {
    /// The most bytes that PL/SQL moves as RAW.
    pub(crate) const RAW_BYTES: usize = 32_767;

    /// The most bytes of an event in a RAW queue with its envelope: there must be room for its
    /// attempts, and for why and when it became a dead letter.
    pub(crate) const RAW_EVENT_BYTES: usize = Self::RAW_BYTES - 256;
}

/// A queue as it was found.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    pub(crate) name: String,
    /// The name of its queue table, without the schema.
    pub(crate) table: String,
    pub(crate) payload: PayloadKind,
    /// Its consumers are subscribers, each of which gets every message that its rule lets through.
    pub(crate) multiple: bool,
}

impl Queue {
    /// The schema of its name, and what else there is of it.
    pub(crate) fn parts(&self) -> (Option<&str>, &str) {
        match self.name.split_once('.') {
            Some((schema, name)) => (Some(schema), name),
            None => (None, &self.name),
        }
    }

    /// Looks the queue up: it must be there, started, for multiple consumers where there are to be
    /// groups and for single ones elsewhere, and of a payload that is understood.
    pub(crate) fn find(session: &Session, op: Op, name: &str, groups: bool) -> Result<Self> {
        let (statement, binds) = match name.split_once('.') {
            None => (sql::PROBE, vec![("queue_name", Value::from(name))]),
            Some((owner, name)) => (
                sql::PROBE_OTHER_SCHEMA,
                vec![
                    ("owner", Value::from(owner)),
                    ("queue_name", Value::from(name)),
                ],
            ),
        };
        let found = session.query(op, statement, &binds, 1, |row: &oracle::Row| {
            Ok((
                row.text(1)?,
                row.text(2)?,
                row.text(3)?,
                row.text(4)?,
                [row.text(5)?, row.text(6)?],
            ))
        })?;
        let refused = |kind, what: String| Err(Error::new(kind, op).because(what));
        let Some((table, kind, object, recipients, enabled)) = found.into_iter().next() else {
            return refused(
                ErrorKind::NotConfigured,
                format!(
                    "there is no queue {name}, or no privilege on it; `events migrate up --backend {}` makes it",
                    session.backend()
                ),
            );
        };
        // Oracle pads these with blanks.
        if enabled.iter().any(|enabled| enabled.trim() != "YES") {
            return refused(
                ErrorKind::NotConfigured,
                format!("the queue {name} is not started; DBMS_AQADM.START_QUEUE starts it"),
            );
        }
        match (recipients.trim(), groups) {
            ("MULTIPLE", false) => {
                return refused(
                    ErrorKind::InvalidConfig,
                    format!(
                        "the queue {name} is for multiple consumers; set aq_groups = true, or use one for single consumers"
                    ),
                );
            }
            ("SINGLE", true) => {
                return refused(
                    ErrorKind::InvalidConfig,
                    format!(
                        "the queue {name} is for single consumers, and aq_groups = true needs one for multiple consumers; name another in aq_queue, which `events migrate up --backend {}` makes",
                        session.backend()
                    ),
                );
            }
            _ => {}
        }
        let payload = match (kind.trim(), object.trim()) {
            ("RAW", _) => PayloadKind::Raw,
            ("JSON", _) | (_, "JSON" | "SYS.JSON") => PayloadKind::Json,
            // What a JSON queue is called here has not been seen on a server.
            ("" | "OBJECT", "") if session.version().has_json() => PayloadKind::Json,
            (kind, object) => {
                return refused(
                    ErrorKind::InvalidConfig,
                    format!("the queue {name} carries {kind} {object}; it must carry JSON or RAW"),
                );
            }
        };
        Ok(Self {
            name: name.to_owned(),
            table,
            payload,
            multiple: groups,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    #[test]
    fn a_template_names_a_queue_for_each_channel() {
        let name = QueueName::parse("app.evt_{channel}").unwrap();
        assert_eq!(name.of(&channel("orders")), "APP.EVT_ORDERS");
        assert_eq!(
            name.condition(&channel("orders")),
            "(tab.corrid IN ('orders') OR tab.corrid IS NULL)"
        );
        let one = QueueName::parse("Evt").unwrap();
        assert_eq!(one.of(&channel("orders")), "EVT");
        assert_eq!(one.condition(&channel("a_b")), "tab.corrid IN ('a_b')");
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        for name in ["", "a.b.c", "1a", "a'b", "{chanel}", "a b"] {
            let error = QueueName::parse(name).unwrap_err();
            assert!(error.to_string().contains("[schema.]name"), "{name}");
        }
    }
}
