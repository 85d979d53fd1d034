//! The queues of a server in an SQLite file, shared by sessions and processes.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};

use super::block::refused;
use super::described;
use crate::OraError;
use crate::control;
use crate::engine::Outcome;
use crate::process::Process;
use crate::value::{Binds, Column, Kind, Value};

/// The visibility of what does not wait for a commit.
pub(super) const IMMEDIATE: i64 = 1;

/// One session's view of the file.
#[derive(Debug)]
pub(super) struct Store {
    db: Connection,
    control: Connection,
    pub(super) session: i64,
    pub(super) version: u32,
}

/// A queue as its sessions need it.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) table: String,
    pub(super) payload_type: String,
    pub(super) multiple: bool,
    pub(super) enqueue_enabled: bool,
    pub(super) dequeue_enabled: bool,
    /// It is the exception queue of its table, which holds what was given up.
    pub(super) exceptions: bool,
}

/// Which messages a dequeue is for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) consumer: Option<String>,
    pub(super) correlations: Option<Vec<Option<String>>>,
    pub(super) msgid: Option<Vec<u8>>,
}

/// A message that can be dequeued.
#[derive(Debug)]
pub(super) struct Message {
    row: i64,
    pub(super) msgid: Vec<u8>,
    pub(super) correlation: Option<String>,
    pub(super) priority: i64,
    pub(super) attempts: i64,
    pub(super) payload: Option<Vec<u8>>,
}

/// What a transaction holds when a statement begins, so that one that fails is undone alone.
#[derive(Debug)]
pub(super) struct Savepoint {
    newest: i64,
    held: String,
}

/// Microseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS queue_tables (
        name TEXT PRIMARY KEY, payload_type TEXT NOT NULL, multiple INTEGER NOT NULL,
        flavour TEXT NOT NULL, exceptions_started INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE IF NOT EXISTS queues (
        name TEXT PRIMARY KEY, queue_table TEXT NOT NULL, max_retries INTEGER NOT NULL,
        retry_delay INTEGER NOT NULL, enqueue_enabled INTEGER NOT NULL DEFAULT 0,
        dequeue_enabled INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE IF NOT EXISTS subscribers (
        queue TEXT NOT NULL, name TEXT NOT NULL, rule TEXT, PRIMARY KEY (queue, name));
    CREATE TABLE IF NOT EXISTS grants (
        queue TEXT NOT NULL, privilege TEXT NOT NULL, grantee TEXT NOT NULL,
        PRIMARY KEY (queue, privilege, grantee));
    CREATE TABLE IF NOT EXISTS messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT, msgid BLOB NOT NULL, queue TEXT NOT NULL,
        consumer TEXT, corrid TEXT, priority INTEGER NOT NULL, ready_at INTEGER NOT NULL,
        expires_at INTEGER, enq_time INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
        payload BLOB, expired INTEGER NOT NULL DEFAULT 0,
        enqueued_by INTEGER, dequeued_by INTEGER);
    CREATE INDEX IF NOT EXISTS messages_in_order ON messages (queue, expired, priority, id);";

/// In the exception queue a message is no subscriber's, and there once for all of them.
const GIVEN_UP_ONCE: &str = "
    DELETE FROM messages WHERE expired AND consumer IS NOT NULL AND EXISTS (
        SELECT 1 FROM messages AS other
        WHERE other.msgid = messages.msgid AND other.expired AND other.id < messages.id);
    UPDATE messages SET consumer = NULL WHERE expired AND consumer IS NOT NULL;";

impl Store {
    pub(super) fn open(folder: &Path, session: i64, version: u32) -> Result<Self, OraError> {
        let db = control::database(&folder.join("queues.db"))?;
        db.execute_batch(TABLES)?;
        Ok(Self {
            db,
            control: control::control(folder)?,
            session,
            version,
        })
    }

    pub(super) fn db(&self) -> &Connection {
        &self.db
    }

    pub(super) fn begin(&mut self) -> Result<Transaction<'_>, OraError> {
        Ok(self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?)
    }

    pub(super) fn is_revoked(&self, package: &str) -> Result<bool, OraError> {
        let revoked = control::setting(&self.control, &format!("revoked {package}"))?;
        Ok(revoked.is_some())
    }

    /// The queue of a name, whose schema is not looked at: there is one.
    pub(super) fn queue(&self, name: &str) -> Result<Queue, OraError> {
        let plain = name.rsplit('.').next().unwrap_or(name).to_ascii_uppercase();
        let table = plain
            .strip_prefix("AQ$_")
            .and_then(|rest| rest.strip_suffix("_E"));
        if let Some(table) = table {
            return self.exception_queue(&plain, table);
        }
        self.db
            .prepare_cached(
                "SELECT q.name, q.queue_table, t.payload_type, t.multiple, q.enqueue_enabled,
                        q.dequeue_enabled
                 FROM queues q JOIN queue_tables t ON t.name = q.queue_table WHERE q.name = ?1",
            )?
            .query_row([&plain], |row| {
                Ok(Queue {
                    name: row.get(0)?,
                    table: row.get(1)?,
                    payload_type: row.get(2)?,
                    multiple: row.get(3)?,
                    enqueue_enabled: row.get(4)?,
                    dequeue_enabled: row.get(5)?,
                    exceptions: false,
                })
            })
            .optional()?
            .ok_or_else(|| OraError::new(24010, format_args!("QUEUE SCOTT.{plain} does not exist")))
    }

    fn exception_queue(&self, name: &str, table: &str) -> Result<Queue, OraError> {
        self.db
            .prepare_cached(
                "SELECT name, payload_type, exceptions_started FROM queue_tables
                 WHERE name = ?1 AND flavour = 'classic'",
            )?
            .query_row([table], |row| {
                Ok(Queue {
                    name: name.to_owned(),
                    table: row.get(0)?,
                    payload_type: row.get(1)?,
                    multiple: false,
                    enqueue_enabled: false,
                    dequeue_enabled: row.get(2)?,
                    exceptions: true,
                })
            })
            .optional()?
            .ok_or_else(|| OraError::new(24010, format_args!("QUEUE SCOTT.{name} does not exist")))
    }

    /// Sixteen bytes that no other message has.
    pub(super) fn new_id(&self) -> Result<Vec<u8>, OraError> {
        Ok(self
            .db
            .query_row("SELECT randomblob(16)", [], |row| row.get(0))?)
    }

    /// For whom a message is stored: one of nobody's, or one for each subscriber whose rule lets it
    /// through.
    pub(super) fn recipients(
        &self,
        queue: &Queue,
        correlation: Option<&str>,
    ) -> Result<Vec<Option<String>>, OraError> {
        if !queue.multiple {
            return Ok(vec![None]);
        }
        let mut all = self.db.prepare(
            "SELECT name FROM subscribers
             WHERE queue = ?1
               AND (rule IS NULL OR EXISTS (SELECT 1 FROM json_each(rule) WHERE value IS ?2))
             ORDER BY name",
        )?;
        let names: Vec<Option<String>> = all
            .query_map(params![queue.name, correlation], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        // A transactional event queue may keep it for nobody, so it is taken for one that does.
        let classic = || {
            let sql = "SELECT flavour = 'classic' FROM queue_tables WHERE name = ?1";
            self.db
                .query_row(sql, [&queue.table], |row| row.get::<_, bool>(0))
        };
        if names.is_empty() && classic()? {
            return Err(OraError::new(24033, "no recipients for message"));
        }
        Ok(names)
    }

    /// The first message that is ready and held by nobody.
    pub(super) fn find(&self, queue: &Queue, wanted: &Wanted) -> Result<Option<Message>, OraError> {
        let correlations = wanted
            .correlations
            .as_ref()
            .map(|list| serde_json::json!(list).to_string());
        Ok(self
            .db
            .prepare_cached(
                "SELECT id, msgid, corrid, priority, attempts, payload FROM messages
                 WHERE iif(?7, expired AND queue IN (SELECT name FROM queues WHERE queue_table = ?8),
                           queue = ?1 AND NOT expired AND ready_at <= ?3
                           AND (expires_at IS NULL OR expires_at > ?3))
                   AND (?7 OR consumer IS ?2)
                   AND dequeued_by IS NULL AND (enqueued_by IS NULL OR enqueued_by = ?4)
                   AND (?5 IS NULL
                        OR EXISTS (SELECT 1 FROM json_each(?5) WHERE value IS corrid))
                   AND (?6 IS NULL OR msgid = ?6)
                 ORDER BY priority, id LIMIT 1",
            )?
            .query_row(
                params![
                    queue.name,
                    wanted.consumer,
                    now(),
                    self.session,
                    correlations,
                    wanted.msgid,
                    queue.exceptions,
                    queue.table,
                ],
                message,
            )
            .optional()?)
    }

    /// Takes a message out, for good or until the transaction ends.
    pub(super) fn take(&self, message: &Message, lasting: bool) -> Result<(), OraError> {
        let taken = if lasting {
            self.db.execute(
                "DELETE FROM messages WHERE id = ?1 AND dequeued_by IS NULL",
                [message.row],
            )?
        } else {
            self.db.execute(
                "UPDATE messages SET dequeued_by = ?2 WHERE id = ?1 AND dequeued_by IS NULL",
                [message.row, self.session],
            )?
        };
        match taken {
            // Another session was faster; the caller sees what it sees of any race, nothing.
            0 => Err(OraError::new(25228, "end-of-fetch during message dequeue")),
            _ => Ok(()),
        }
    }

    pub(super) fn savepoint(&self) -> Result<Savepoint, OraError> {
        let sql = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'messages'), 0),
                          (SELECT json_group_array(id) FROM messages WHERE dequeued_by = ?1)";
        let mut read = self.db.prepare_cached(sql)?;
        Ok(read.query_row([self.session], |row| {
            Ok(Savepoint {
                newest: row.get(0)?,
                held: row.get(1)?,
            })
        })?)
    }

    /// Undoes what the transaction did since, but for what became lasting.
    pub(super) fn back_to(&mut self, savepoint: &Savepoint) -> Result<(), OraError> {
        let session = self.session;
        let work = self.begin()?;
        work.execute(
            "DELETE FROM messages WHERE enqueued_by = ?1 AND id > ?2",
            [session, savepoint.newest],
        )?;
        work.execute(
            "UPDATE messages SET dequeued_by = NULL WHERE dequeued_by = ?1
             AND id NOT IN (SELECT value FROM json_each(?2))",
            params![session, savepoint.held],
        )?;
        Ok(work.commit()?)
    }

    pub(super) fn commit(&mut self) -> Result<(), OraError> {
        let session = self.session;
        let work = self.begin()?;
        work.execute("DELETE FROM messages WHERE dequeued_by = ?1", [session])?;
        work.execute(
            "UPDATE messages SET enqueued_by = NULL WHERE enqueued_by = ?1",
            [session],
        )?;
        Ok(work.commit()?)
    }

    /// Undoes the transaction, which counts as an attempt of what it held; too many of them, and the
    /// message is in the exception queue.
    pub(super) fn rollback(&mut self) -> Result<(), OraError> {
        let session = self.session;
        let work = self.begin()?;
        work.execute(
            "UPDATE messages SET attempts = attempts + 1 WHERE dequeued_by = ?1",
            [session],
        )?;
        work.execute(
            "UPDATE messages AS m SET
                 ready_at = max(ready_at, ?2 + 1000000 * (SELECT retry_delay FROM queues
                                                          WHERE name = m.queue)),
                 expired = attempts > (SELECT max_retries FROM queues WHERE name = m.queue)
             WHERE dequeued_by = ?1",
            [session, now()],
        )?;
        undo(&work, session)?;
        work.execute_batch(GIVEN_UP_ONCE)?;
        Ok(work.commit()?)
    }

    /// Undoes what a session left behind.
    pub(super) fn forget(&mut self) -> Result<(), OraError> {
        let session = self.session;
        let work = self.begin()?;
        undo(&work, session)?;
        Ok(work.commit()?)
    }

    /// Takes off the marks of sessions that are gone, and puts expired messages away.
    pub(super) fn sweep(&mut self, queue: &Queue) -> Result<(), OraError> {
        let holders: Vec<i64> = self
            .db
            .prepare_cached(
                "SELECT dequeued_by FROM messages WHERE dequeued_by IS NOT NULL
                 UNION SELECT enqueued_by FROM messages WHERE enqueued_by IS NOT NULL",
            )?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for holder in holders {
            if !self.lives(holder)? {
                let work = self.begin()?;
                undo(&work, holder)?;
                work.commit()?;
            }
        }
        let late = self.db.query_row(
            "SELECT EXISTS (SELECT 1 FROM messages WHERE queue = ?1 AND NOT expired
                            AND dequeued_by IS NULL AND expires_at <= ?2)",
            params![queue.name, now()],
            |row| row.get::<_, bool>(0),
        )?;
        if late {
            self.db.execute(
                "UPDATE messages SET expired = 1 WHERE queue = ?1 AND NOT expired
                 AND dequeued_by IS NULL AND expires_at <= ?2",
                params![queue.name, now()],
            )?;
            self.db.execute_batch(GIVEN_UP_ONCE)?;
        }
        Ok(())
    }

    fn lives(&self, session: i64) -> Result<bool, OraError> {
        let process = self
            .control
            .query_row(
                "SELECT pid, begun FROM sessions WHERE id = ?1 AND NOT killed",
                [session],
                |row| {
                    Ok(Process {
                        id: row.get(0)?,
                        begun: row.get(1)?,
                    })
                },
            )
            .optional()?;
        Ok(process.is_some_and(Process::runs))
    }

    /// The subscribers of a queue, as our statement asks for them.
    pub(super) fn subscribers(&self, text: &str, binds: &Binds) -> Result<Outcome, OraError> {
        if !text.starts_with("SELECT s.consumer_name FROM ") {
            return Err(refused(text));
        }
        let name = binds.get("queue_name")?.text()?.unwrap_or_default();
        let mut all = self
            .db
            .prepare_cached("SELECT name FROM subscribers WHERE queue = ?1 ORDER BY name")?;
        let rows = all
            .query_map([name], |row| Ok(vec![Value::Text(row.get(0)?)]))?
            .collect::<Result<_, _>>()?;
        let columns = vec![Column::new("CONSUMER_NAME", Kind::Varchar(128))];
        Ok(Outcome::rows(columns, rows))
    }

    /// What our probe asks of `USER_QUEUES` or `ALL_QUEUES`.
    pub(super) fn describe(&self, text: &str, binds: &Binds) -> Result<Outcome, OraError> {
        let columns = "SELECT q.name, q.queue_table, t.type, t.object_type, t.recipients, \
                       q.enqueue_enabled, q.dequeue_enabled, q.max_retries FROM ";
        if !text.starts_with(columns) {
            return Err(refused(text));
        }
        let name = binds.get("queue_name")?.text()?.unwrap_or_default();
        let queue = match self.queue(name) {
            Ok(queue) => queue,
            Err(error) if error.code == 24010 => {
                return Ok(Outcome::rows(described(), Vec::new()));
            }
            Err(error) => return Err(error),
        };
        let text = |text: &str| Value::Text(text.to_owned());
        let yes = |on: bool| text(if on { "  YES  " } else { "  NO  " });
        let retries = self.db.query_row(
            "SELECT max_retries FROM queues WHERE name = ?1",
            [&queue.name],
            |row| row.get(0),
        )?;
        let row = vec![
            text(&queue.name),
            text(&queue.table),
            text(&queue.payload_type),
            Value::Null,
            text(if queue.multiple { "MULTIPLE" } else { "SINGLE" }),
            yes(queue.enqueue_enabled),
            yes(queue.dequeue_enabled),
            Value::Integer(retries),
        ];
        Ok(Outcome::rows(described(), vec![row]))
    }
}

fn undo(work: &Transaction<'_>, session: i64) -> Result<(), OraError> {
    work.execute("DELETE FROM messages WHERE enqueued_by = ?1", [session])?;
    work.execute(
        "UPDATE messages SET dequeued_by = NULL WHERE dequeued_by = ?1",
        [session],
    )?;
    Ok(())
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        row: row.get(0)?,
        msgid: row.get(1)?,
        correlation: row.get(2)?,
        priority: row.get(3)?,
        attempts: row.get(4)?,
        payload: row.get(5)?,
    })
}
