//! `DBMS_AQADM`: queue tables, queues, subscribers and grants. Every call commits, as DDL does.

use rusqlite::params;

use super::Run;
use super::block::{self, refused};
use super::condition;
use super::store::Queue;
use crate::OraError;

/// A name as it stands without quotes.
fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_$#".contains(&b))
}

const CLASSIC: &str = "classic";
const TXEVENTQ: &str = "txeventq";

impl Run<'_> {
    pub(super) fn administer(
        &mut self,
        name: &str,
        arguments: &[(String, String)],
    ) -> Result<(), OraError> {
        self.store.commit()?;
        match name {
            "CREATE_QUEUE_TABLE" => {
                let table = self.text_argument(arguments, "queue_table")?;
                self.create_table(&table, CLASSIC, arguments)
            }
            "CREATE_TRANSACTIONAL_EVENT_QUEUE" => {
                if self.store.version < 21 {
                    return Err(block::undeclared("CREATE_TRANSACTIONAL_EVENT_QUEUE"));
                }
                let queue = self.text_argument(arguments, "queue_name")?;
                // Its table has its name: where the queue exists, that is what is in the way.
                self.create_table(&queue, TXEVENTQ, arguments)?;
                self.create_queue(&queue, &queue, arguments)
            }
            "CREATE_QUEUE" => {
                let queue = self.text_argument(arguments, "queue_name")?;
                let table = self.text_argument(arguments, "queue_table")?;
                self.create_queue(&queue, &table, arguments)
            }
            "START_QUEUE" => self.switch(arguments, true),
            "STOP_QUEUE" => self.switch(arguments, false),
            "DROP_QUEUE" => self.drop_queue(arguments, CLASSIC),
            "DROP_TRANSACTIONAL_EVENT_QUEUE" => self.drop_queue(arguments, TXEVENTQ),
            "DROP_QUEUE_TABLE" => {
                let table = self.text_argument(arguments, "queue_table")?;
                match self.store.db().execute(
                    "DELETE FROM queue_tables WHERE name = ?1",
                    [table.to_ascii_uppercase()],
                )? {
                    0 => Err(OraError::new(24002, "QUEUE_TABLE does not exist")),
                    _ => Ok(()),
                }
            }
            "ADD_SUBSCRIBER" => self.subscriber(arguments),
            "REMOVE_SUBSCRIBER" => self.unsubscribe(arguments),
            "GRANT_QUEUE_PRIVILEGE" => self.grant(arguments),
            other => Err(refused(other)),
        }
    }

    fn is_true(&self, arguments: &[(String, String)], name: &str) -> Result<bool, OraError> {
        match Self::argument(arguments, name) {
            Ok(expression) => Ok(self.value(expression)?.integer()?.is_some()),
            Err(_) => Ok(false),
        }
    }

    fn number(
        &self,
        arguments: &[(String, String)],
        name: &str,
        otherwise: i64,
    ) -> Result<i64, OraError> {
        match Self::argument(arguments, name) {
            Ok(expression) => Ok(self.value(expression)?.integer()?.unwrap_or(otherwise)),
            Err(_) => Ok(otherwise),
        }
    }

    fn create_table(
        &mut self,
        name: &str,
        flavour: &str,
        arguments: &[(String, String)],
    ) -> Result<(), OraError> {
        let payload = self.text_argument(arguments, "queue_payload_type")?;
        if payload == "JSON" && self.store.version < 21 {
            return Err(OraError::new(902, "invalid datatype"));
        }
        if payload != "JSON" && payload != "RAW" {
            return Err(refused(&payload));
        }
        let multiple = self.is_true(arguments, "multiple_consumers")?;
        let made = self.store.db().execute(
            "INSERT OR IGNORE INTO queue_tables (name, payload_type, multiple, flavour)
             VALUES (?1, ?2, ?3, ?4)",
            params![name.to_ascii_uppercase(), payload, multiple, flavour],
        )?;
        match made {
            0 => Err(OraError::new(
                24001,
                format_args!("cannot create QUEUE_TABLE, {name} already exists"),
            )),
            _ => Ok(()),
        }
    }

    fn create_queue(
        &mut self,
        name: &str,
        table: &str,
        arguments: &[(String, String)],
    ) -> Result<(), OraError> {
        let table = table.to_ascii_uppercase();
        let known = self.store.db().query_row(
            "SELECT count(*) FROM queue_tables WHERE name = ?1",
            [&table],
            |row| row.get::<_, i64>(0),
        )?;
        if known == 0 {
            return Err(OraError::new(24002, "QUEUE_TABLE does not exist"));
        }
        let made = self.store.db().execute(
            "INSERT OR IGNORE INTO queues (name, queue_table, max_retries, retry_delay)
             VALUES (?1, ?2, ?3, ?4)",
            params![
                name.to_ascii_uppercase(),
                table,
                self.number(arguments, "max_retries", 5)?,
                self.number(arguments, "retry_delay", 0)?,
            ],
        )?;
        match made {
            0 => Err(OraError::new(
                24006,
                format_args!("cannot create QUEUE, {name} already exists"),
            )),
            _ => Ok(()),
        }
    }

    fn named(&mut self, arguments: &[(String, String)]) -> Result<Queue, OraError> {
        let name = self.text_argument(arguments, "queue_name")?;
        self.store.queue(&name)
    }

    fn switch(&mut self, arguments: &[(String, String)], on: bool) -> Result<(), OraError> {
        let queue = self.named(arguments)?;
        if queue.exceptions {
            if on && self.is_true(arguments, "enqueue")? {
                return Err(OraError::new(
                    24085,
                    "operation failed, queue is an exception queue",
                ));
            }
            self.store.db().execute(
                "UPDATE queue_tables SET exceptions_started = ?2 WHERE name = ?1",
                params![queue.table, on],
            )?;
            return Ok(());
        }
        self.store.db().execute(
            "UPDATE queues SET enqueue_enabled = ?2, dequeue_enabled = ?2 WHERE name = ?1",
            params![queue.name, on],
        )?;
        Ok(())
    }

    fn drop_queue(
        &mut self,
        arguments: &[(String, String)],
        flavour: &str,
    ) -> Result<(), OraError> {
        let queue = self.named(arguments)?;
        if queue.enqueue_enabled || queue.dequeue_enabled {
            return Err(OraError::new(
                24011,
                "cannot drop QUEUE, it should be stopped first",
            ));
        }
        let db = self.store.db();
        db.execute("DELETE FROM messages WHERE queue = ?1", [&queue.name])?;
        db.execute("DELETE FROM subscribers WHERE queue = ?1", [&queue.name])?;
        db.execute("DELETE FROM queues WHERE name = ?1", [&queue.name])?;
        if flavour == TXEVENTQ {
            db.execute("DELETE FROM queue_tables WHERE name = ?1", [&queue.table])?;
        }
        Ok(())
    }

    /// The name of `SYS.AQ$_AGENT(:name, NULL, NULL)`.
    fn agent(&self, arguments: &[(String, String)]) -> Result<String, OraError> {
        let agent = Self::argument(arguments, "subscriber")?;
        let name = agent
            .strip_prefix("SYS.AQ$_AGENT(")
            .and_then(|rest| rest.strip_suffix(", NULL, NULL)"))
            .ok_or_else(|| refused(agent))?;
        Ok(self
            .value(name)?
            .text()?
            .unwrap_or_default()
            .to_ascii_uppercase())
    }

    fn subscriber(&mut self, arguments: &[(String, String)]) -> Result<(), OraError> {
        let queue = self.named(arguments)?;
        if !queue.multiple {
            return Err(OraError::new(
                24039,
                "queue not created in queue table for multiple consumers",
            ));
        }
        let known = ["queue_name", "subscriber", "rule"];
        if let Some((other, _)) = arguments
            .iter()
            .find(|(given, _)| !known.contains(&given.as_str()))
        {
            return Err(refused(other));
        }
        let name = self.agent(arguments)?;
        let longest = if self.store.version < 12 { 30 } else { 128 };
        if name.len() > longest {
            return Err(OraError::new(
                24019,
                format_args!("identifier for SUBSCRIBER too long, {name}"),
            ));
        }
        if !is_identifier(&name) {
            return Err(OraError::new(
                24047,
                format_args!("invalid agent name {name}"),
            ));
        }
        let rule = match Self::argument(arguments, "rule") {
            Ok(expression) => self.value(expression)?.text()?.map(str::to_owned),
            Err(_) => None,
        };
        let rule = rule.as_deref();
        let rule = rule
            .map(|rule| condition::correlations(rule, "corrid"))
            .transpose()?;
        let rule = rule.map(|list| serde_json::json!(list).to_string());
        let made = self.store.db().execute(
            "INSERT OR IGNORE INTO subscribers (queue, name, rule) VALUES (?1, ?2, ?3)",
            params![queue.name, name, rule],
        )?;
        match made {
            0 => Err(OraError::new(
                24034,
                format_args!("application {name} is already a subscriber"),
            )),
            _ => Ok(()),
        }
    }

    fn unsubscribe(&mut self, arguments: &[(String, String)]) -> Result<(), OraError> {
        let queue = self.named(arguments)?;
        let name = self.agent(arguments)?;
        let db = self.store.db();
        db.execute(
            "DELETE FROM messages WHERE queue = ?1 AND consumer = ?2",
            [&queue.name, &name],
        )?;
        match db.execute(
            "DELETE FROM subscribers WHERE queue = ?1 AND name = ?2",
            [&queue.name, &name],
        )? {
            0 => Err(OraError::new(
                24035,
                format_args!("{name} is not a subscriber"),
            )),
            _ => Ok(()),
        }
    }

    fn grant(&mut self, arguments: &[(String, String)]) -> Result<(), OraError> {
        let queue = self.named(arguments)?;
        let privilege = self.text_argument(arguments, "privilege")?;
        if !matches!(privilege.as_str(), "ENQUEUE" | "DEQUEUE" | "ALL") {
            return Err(OraError::new(
                24050,
                format_args!("{privilege} is no queue privilege"),
            ));
        }
        let grantee = self.text_argument(arguments, "grantee")?;
        self.store.db().execute(
            "INSERT OR IGNORE INTO grants (queue, privilege, grantee) VALUES (?1, ?2, ?3)",
            [&queue.name, &privilege, &grantee],
        )?;
        Ok(())
    }
}
