//! Advanced Queuing: blocks that call `DBMS_AQ` and `DBMS_AQADM`, on queues kept in a file.
//!
//! What a session dequeues or enqueues on commit is marked with its number and becomes lasting, or is
//! undone, with its transaction. The marks of a session that is gone are taken off by whoever meets
//! them: its process may have been killed.

mod admin;
mod block;
mod condition;
mod dequeue;
mod enqueue;
mod store;
mod view;

use std::collections::HashMap;
use std::path::Path;

use block::{Block, Node};
use store::Store;

use crate::OraError;
use crate::call::Call;
use crate::engine::{Engine, Outcome};
use crate::sql;
use crate::value::{Binds, Column, Kind, Value};

/// The engine of queues.
#[derive(Debug)]
pub(crate) struct Queues {
    store: Store,
}

impl Queues {
    pub(crate) fn open(folder: &Path, session: i64, version: u32) -> Result<Self, OraError> {
        Ok(Self {
            store: Store::open(folder, session, version)?,
        })
    }
}

fn squeezed(sql: &str) -> String {
    let text = sql::uncommented(sql);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Engine for Queues {
    fn understands(&self, sql: &str) -> bool {
        let upper = squeezed(sql).to_ascii_uppercase();
        upper.contains("DBMS_AQ.")
            || upper.contains("DBMS_AQADM.")
            || upper.contains("_QUEUES Q ")
            || upper.contains("_QUEUE_SUBSCRIBERS S ")
            || upper.contains("\"AQ$")
    }

    fn execute(&mut self, call: &Call, sql: &str, binds: &mut Binds) -> Result<Outcome, OraError> {
        let text = squeezed(sql);
        if text.to_ascii_uppercase().starts_with("SELECT ") {
            if text.contains("\"AQ$") {
                return self.store.look(&text, binds);
            }
            if text.to_ascii_uppercase().contains("_QUEUE_SUBSCRIBERS S ") {
                return self.store.subscribers(&text, binds);
            }
            return self.store.describe(&text, binds);
        }
        // A block that names a package which is not granted is not compiled, so nothing of it runs.
        for package in ["DBMS_AQ", "DBMS_AQADM"] {
            if text.to_ascii_uppercase().contains(&format!("{package}."))
                && self.store.is_revoked(package)?
            {
                return Err(block::undeclared(package));
            }
        }
        let block = Block::parse(&text)?;
        let before = self.store.savepoint()?;
        let mut run = Run {
            store: &mut self.store,
            call,
            binds,
            exceptions: block.exceptions,
            variables: HashMap::new(),
        };
        let done = run.all(&block.body);
        if done.is_err() {
            self.store.back_to(&before)?;
        }
        done.map(|()| Outcome::Done(1))
    }

    fn commit(&mut self) -> Result<(), OraError> {
        self.store.commit()
    }

    fn rollback(&mut self) -> Result<(), OraError> {
        self.store.rollback()
    }
}

impl Drop for Queues {
    fn drop(&mut self) {
        // The session is gone, which is no attempt of the messages that it held.
        let _ = self.store.forget();
    }
}

/// The fields of options and properties that mean something here.
const FIELDS: [&str; 12] = [
    "attempts",
    "consumer_name",
    "correlation",
    "delay",
    "deq_condition",
    "dequeue_mode",
    "expiration",
    "msgid",
    "navigation",
    "priority",
    "visibility",
    "wait",
];

/// One execution of a block.
struct Run<'a> {
    store: &'a mut Store,
    call: &'a Call,
    binds: &'a mut Binds,
    /// Names of exceptions with their numbers.
    exceptions: HashMap<String, i32>,
    variables: HashMap<String, Value>,
}

impl Run<'_> {
    fn all(&mut self, nodes: &[Node]) -> Result<(), OraError> {
        nodes.iter().try_for_each(|node| self.one(node))
    }

    fn one(&mut self, node: &Node) -> Result<(), OraError> {
        match node {
            Node::Statement(text) => self.statement(text),
            Node::Block { body, handlers } => {
                let Err(error) = self.all(body) else {
                    return Ok(());
                };
                let caught = handlers.iter().find(|(names, _)| {
                    names
                        .iter()
                        .any(|name| self.exceptions.get(name) == Some(&error.code))
                });
                match caught {
                    Some((_, handler)) => self.all(handler),
                    None => Err(error),
                }
            }
        }
    }

    fn statement(&mut self, text: &str) -> Result<(), OraError> {
        if text.eq_ignore_ascii_case("NULL") {
            return Ok(());
        }
        if let Some((procedure, arguments)) = block::call(text) {
            return self.procedure(&procedure, &arguments);
        }
        if text == "SELECT JSON_SERIALIZE(v_doc RETURNING CLOB) INTO v_body FROM dual" {
            let document = self.value("v_doc")?;
            self.variables.insert("v_body".to_owned(), document);
            return Ok(());
        }
        let (target, expression) = text
            .split_once(" := ")
            .ok_or_else(|| block::refused(text))?;
        let value = self.value(expression)?;
        self.assign(target, value)
    }

    fn assign(&mut self, target: &str, value: Value) -> Result<(), OraError> {
        match target.strip_prefix(':') {
            Some(bind) => self.binds.set(bind, value),
            None => {
                let target = target.to_ascii_lowercase();
                if let Some((_, field)) = target.split_once('.')
                    && !FIELDS.contains(&field)
                {
                    return Err(block::refused(&target));
                }
                self.variables.insert(target, value);
                Ok(())
            }
        }
    }

    /// The value of an expression: a variable, a literal, a constant of the package, a document.
    fn value(&self, expression: &str) -> Result<Value, OraError> {
        if let Some(bind) = expression.strip_prefix(':') {
            return self.binds.get(bind).cloned();
        }
        if let Some(text) = expression
            .strip_prefix('\'')
            .and_then(|rest| rest.strip_suffix('\''))
        {
            return Ok(Value::Text(text.replace("''", "'")));
        }
        if let Ok(number) = expression.parse() {
            return Ok(Value::Integer(number));
        }
        if let Some(inner) = expression
            .strip_prefix("JSON(")
            .and_then(|rest| rest.strip_suffix(')'))
        {
            return self.document(&self.value(inner)?);
        }
        let newer = self.store.version >= 21;
        let constant = match expression.to_ascii_uppercase().as_str() {
            "CASE WHEN DBMS_DB_VERSION.VERSION >= 21 THEN 'JSON' ELSE 'RAW' END" => {
                Some(Value::Text(if newer { "JSON" } else { "RAW" }.to_owned()))
            }
            "NULL" | "FALSE" => Some(Value::Null),
            "DBMS_AQ.NO_WAIT" => Some(Value::Integer(0)),
            "TRUE" | "DBMS_AQ.BROWSE" | "DBMS_AQ.FIRST_MESSAGE" | "DBMS_AQ.IMMEDIATE" => {
                Some(Value::Integer(1))
            }
            "DBMS_AQ.ON_COMMIT" => Some(Value::Integer(2)),
            "DBMS_AQ.REMOVE" | "DBMS_AQ.NEXT_MESSAGE" => Some(Value::Integer(3)),
            _ => None,
        };
        constant
            .or_else(|| {
                self.variables
                    .get(&expression.to_ascii_lowercase())
                    .cloned()
            })
            .ok_or_else(|| block::refused(expression))
    }

    /// A document as the server stores it: its own text, with the keys in no order of the sender's.
    fn document(&self, text: &Value) -> Result<Value, OraError> {
        if self.store.version < 21 {
            return Err(block::undeclared("JSON"));
        }
        let Some(text) = text.text()? else {
            return Ok(Value::Null);
        };
        let document: serde_json::Value =
            serde_json::from_str(text).map_err(|_| OraError::new(40441, "JSON syntax error"))?;
        Ok(Value::Text(document.to_string()))
    }

    /// A field of a record such as `v_opts`, NULL unless it was set.
    fn field(&self, name: &str) -> Value {
        self.variables.get(name).cloned().unwrap_or(Value::Null)
    }

    fn procedure(
        &mut self,
        procedure: &str,
        arguments: &[(String, String)],
    ) -> Result<(), OraError> {
        let (package, name) = procedure
            .split_once('.')
            .ok_or_else(|| block::refused(procedure))?;
        match (package, name) {
            ("DBMS_AQ", "ENQUEUE") => self.enqueue(arguments),
            ("DBMS_AQ", "DEQUEUE") => self.dequeue(arguments),
            ("DBMS_AQADM", _) => self.administer(name, arguments),
            _ => Err(block::refused(procedure)),
        }
    }

    /// The expression of a named argument.
    fn argument<'t>(arguments: &'t [(String, String)], name: &str) -> Result<&'t str, OraError> {
        arguments
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, expression)| expression.as_str())
            .ok_or_else(|| block::refused(&format!("a call without {name}")))
    }

    fn text_argument(
        &self,
        arguments: &[(String, String)],
        name: &str,
    ) -> Result<String, OraError> {
        let value = self.value(Self::argument(arguments, name)?)?;
        Ok(value.text()?.unwrap_or_default().to_owned())
    }
}

/// Columns of the description of a queue, as our statement names them.
fn described() -> Vec<Column> {
    let text = |name: &str| Column::new(name, Kind::Varchar(261));
    vec![
        text("NAME"),
        text("QUEUE_TABLE"),
        text("TYPE"),
        text("OBJECT_TYPE"),
        text("RECIPIENTS"),
        text("ENQUEUE_ENABLED"),
        text("DEQUEUE_ENABLED"),
        Column::new("MAX_RETRIES", Kind::Number),
    ]
}
