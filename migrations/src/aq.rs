//! Queues of Oracle as SQL: how they are made, dropped and granted. Oracle's packages do it, so
//! this is not a numbered migration and needs no ledger: each text may run again.

use events_core::{Error, Result};

const QUEUE: &str = "SQLSPEC_EVENTS_QUEUE";
/// The payload of a queue that either version of the server can make.
const BY_VERSION: &str = "CASE WHEN DBMS_DB_VERSION.VERSION >= 21 THEN 'JSON' ELSE 'RAW' END";
/// Names of queue tables have at most 122 bytes, and ours is three longer than the queue's.
const MAX_NAME: usize = 119;
const GRANTEE: &str = "SQLSPEC_EVENTS_USER";

/// Which of Oracle's two queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AqKind {
    /// Advanced Queuing: a queue in a queue table.
    Classic,
    /// A Transactional Event Queue, from 21c on.
    TxEventQ,
}

/// A queue that is to be made or dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AqQueue {
    kind: AqKind,
    /// `[SCHEMA.]NAME`, upper case.
    name: String,
    /// Messages are RAW, as servers before 21c need it, also where there is JSON.
    pub raw: bool,
    /// Each subscriber gets every message.
    pub multiple_consumers: bool,
    /// After so many rollbacks the server itself moves a message to the exception queue.
    pub max_retries: u32,
}

impl AqQueue {
    /// A queue for JSON and competing consumers. The name is folded to upper case, as Oracle does.
    ///
    /// # Errors
    /// `InvalidConfig` for a name that is not `[schema.]name` of letters, digits, `_`, `$` and `#`.
    pub fn new(kind: AqKind, name: &str) -> Result<Self> {
        let identifier = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic())
                && part.len() <= MAX_NAME
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_$#".contains(&b))
        };
        if name.split('.').count() > 2 || !name.split('.').all(identifier) {
            return Err(Error::invalid_config(format!(
                "aq_queue must be [schema.]name of letters, digits, _, $ and #, not {name:?}"
            )));
        }
        Ok(Self {
            kind,
            name: name.to_ascii_uppercase(),
            raw: false,
            multiple_consumers: false,
            max_retries: 20,
        })
    }

    /// The name as Oracle knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The block that makes the queue and starts it.
    #[must_use]
    pub fn up(&self) -> String {
        let text = self.named(match self.kind {
            AqKind::Classic => include_str!("../oracle/aq/classic.up.sql"),
            AqKind::TxEventQ => include_str!("../oracle/aq/txeventq.up.sql"),
        });
        let consumers = if self.multiple_consumers {
            "multiple_consumers => TRUE"
        } else {
            "multiple_consumers => FALSE"
        };
        let retries = self.max_retries.to_string();
        let text = if self.raw {
            text.replace(BY_VERSION, "'RAW'").replace("'JSON'", "'RAW'")
        } else {
            text
        };
        text.replace("multiple_consumers => FALSE", consumers)
            .replace("=> 20", &format!("=> {retries}"))
    }

    /// The blocks as files for users of other migration tools: names and contents. The first also
    /// lets these users publish and consume.
    ///
    /// # Errors
    /// As [`AqQueue::grant`].
    pub fn files(&self, grantees: &[String]) -> Result<Vec<(String, String)>> {
        let grants = grantees.iter().map(|user| self.grant(user));
        let up = self.up() + &grants.collect::<Result<String>>()?;
        let name = self.name.to_ascii_lowercase();
        Ok(vec![
            (format!("queue_{name}.up.sql"), up),
            (format!("queue_{name}.down.sql"), self.down()),
        ])
    }

    /// The block that drops the queue with everything in it.
    #[must_use]
    pub fn down(&self) -> String {
        self.named(match self.kind {
            AqKind::Classic => include_str!("../oracle/aq/classic.down.sql"),
            AqKind::TxEventQ => include_str!("../oracle/aq/txeventq.down.sql"),
        })
    }

    /// The block that lets another user publish and consume.
    ///
    /// # Errors
    /// `InvalidConfig` for a user that is no identifier.
    pub fn grant(&self, user: &str) -> Result<String> {
        let user = Self::new(self.kind, user)?;
        if user.name.contains('.') {
            return Err(Error::invalid_config("a user's name has no dot"));
        }
        let text = include_str!("../oracle/aq/grant.sql").replace(GRANTEE, &user.name);
        Ok(self.named(&text))
    }

    /// The text for this queue: the name is checked, so it can end no literal.
    fn named(&self, text: &str) -> String {
        let (schema, name) = match self.name.split_once('.') {
            Some((schema, name)) => (format!("{schema}."), name),
            None => (String::new(), &*self.name),
        };
        text.replace(&format!("AQ$_{QUEUE}"), &format!("{schema}AQ$_{name}"))
            .replace(QUEUE, &self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_reaches_the_block() {
        let mut queue = AqQueue::new(AqKind::Classic, "app.evt_orders").unwrap();
        queue.raw = true;
        queue.multiple_consumers = true;
        queue.max_retries = 7;
        let up = queue.up();
        for part in [
            "'APP.EVT_ORDERS'",
            "'APP.EVT_ORDERS_QT'",
            "'APP.AQ$_EVT_ORDERS_QT_E', enqueue => FALSE",
            "'RAW'",
            "multiple_consumers => TRUE",
            "max_retries    => 7",
            "START_QUEUE",
        ] {
            assert!(up.contains(part), "{part}: {up}");
        }
        assert!(!up.contains(QUEUE) && !up.contains("'JSON'"), "{up}");
        let down = queue.down();
        assert!(down.contains("DROP_QUEUE_TABLE(queue_table => 'APP.EVT_ORDERS_QT')"));
        let mut queue = AqQueue::new(AqKind::TxEventQ, "q").unwrap();
        queue.max_retries = 3;
        let up = queue.up();
        assert!(
            up.contains("CREATE_TRANSACTIONAL_EVENT_QUEUE") && up.contains("=> 3)"),
            "{up}"
        );
        assert!(queue.down().contains("DROP_TRANSACTIONAL_EVENT_QUEUE"));
    }

    #[test]
    fn a_grant_names_queue_and_user() {
        let queue = AqQueue::new(AqKind::Classic, "q").unwrap();
        let grant = queue.grant("producer").unwrap();
        assert!(grant.contains("'ENQUEUE', queue_name => 'Q', grantee => 'PRODUCER'"));
        assert!(grant.contains("'DEQUEUE', queue_name => 'Q', grantee => 'PRODUCER'"));
        assert!(queue.grant("a.b").is_err());
    }

    #[test]
    fn no_name_ends_a_literal() {
        for name in ["q'x", "", "a.b.c", "1q", "q{channel}", ".q"] {
            let error = AqQueue::new(AqKind::Classic, name).unwrap_err();
            assert!(
                error.to_string().contains("[schema.]name"),
                "{name}: {error}"
            );
        }
    }
}
