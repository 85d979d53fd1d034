//! The two calls of `DBMS_AQ`, with their variables.

use events_core::{Error, GroupName, Op, Result};
use events_oracle_session::oracle::sql_type::OracleType;
use events_oracle_session::{Session, Value, oracle, oracle_error};

use crate::config::LONGEST;
use crate::queue::{PayloadKind, Queue};
use crate::sql;

/// A message that is to be put into a queue, lasting with the session's next commit.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) queue: Queue,
    pub(crate) body: String,
    pub(crate) correlation: String,
    /// As Oracle counts it: lower is first.
    pub(crate) priority: i64,
    pub(crate) delay_seconds: u64,
    pub(crate) expiration_seconds: Option<u64>,
}

/// A message that was taken out of a queue.
#[derive(Debug, Clone)]
pub(crate) struct Incoming {
    pub(crate) id: [u8; 16],
    /// `None` is NULL, which only other programs send.
    pub(crate) body: Option<Vec<u8>>,
    /// How often a transaction that held it was rolled back.
    pub(crate) rollbacks: u32,
    pub(crate) priority: i64,
}

/// What a dequeue is for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) queue: Queue,
    pub(crate) condition: String,
    /// The group, for counters.
    pub(crate) group: Option<GroupName>,
    /// The subscriber of the group, in a queue for multiple consumers.
    pub(crate) consumer: Option<String>,
    /// The correlation of what is put back.
    pub(crate) again: String,
    /// The correlation of what is given up.
    pub(crate) dead: String,
    pub(crate) immediate: bool,
    pub(crate) wait_seconds: u64,
}

/// The visibilities of `DBMS_AQ`.
const IMMEDIATE: i64 = 1;
const ON_COMMIT: i64 = 2;

impl Outgoing {
    /// Refuses what the queue cannot carry, before the server has to.
    pub(crate) fn check(&self) -> Result<()> {
        if self.queue.payload == PayloadKind::Raw && self.body.len() > PayloadKind::RAW_EVENT_BYTES
        {
            return Err(Error::invalid_input(
                Op::Publish,
                format!(
                    "the event is {} bytes with its envelope; the RAW queue {} carries {}; send a reference, or use a JSON queue",
                    self.body.len(),
                    self.queue.name,
                    PayloadKind::RAW_EVENT_BYTES
                ),
            ));
        }
        let expiration = self.expiration_seconds.unwrap_or_default();
        if self.delay_seconds > LONGEST || expiration > LONGEST {
            return Err(Error::invalid_input(
                Op::Publish,
                format!("delay and expires_in are at most {LONGEST} seconds in Oracle's queues"),
            ));
        }
        Ok(())
    }

    /// Whether the queue can carry it; one that goes back is longer than when it was published.
    pub(crate) fn fits(&self) -> bool {
        self.queue.payload != PayloadKind::Raw || self.body.len() <= PayloadKind::RAW_BYTES
    }

    fn statement(&self) -> &'static str {
        match self.queue.payload {
            PayloadKind::Json => sql::ENQUEUE_JSON,
            PayloadKind::Raw => sql::ENQUEUE_RAW,
        }
    }

    fn binds(&self) -> Vec<(&'static str, Value)> {
        let seconds = |time: u64| Value::from(i64::try_from(time).unwrap_or(i64::MAX));
        let payload = match self.queue.payload {
            PayloadKind::Json => Value::from(self.body.as_str()),
            PayloadKind::Raw => Value::from(self.body.as_bytes()),
        };
        vec![
            ("payload", payload),
            ("visibility", Value::from(ON_COMMIT)),
            ("correlation", Value::from(self.correlation.as_str())),
            ("priority", Value::from(self.priority)),
            ("delay_seconds", seconds(self.delay_seconds)),
            (
                "expiration_seconds",
                self.expiration_seconds
                    // The server would put it away for all groups, also for those that had it.
                    .filter(|_| !self.queue.multiple)
                    .map_or(Value::from(-1), seconds),
            ),
            ("queue_name", Value::from(self.queue.name.as_str())),
        ]
    }
}

/// Puts messages into their queues: those of one kind together.
pub(crate) fn enqueue(session: &Session, op: Op, messages: &[Outgoing]) -> Result<()> {
    try_enqueue(session, messages).map_err(|error| oracle_error(op, session.backend(), error))
}

/// As [`enqueue`], for a caller who reads the code of an error.
pub(crate) fn try_enqueue(session: &Session, messages: &[Outgoing]) -> oracle::Result<()> {
    for run in messages.chunk_by(|one, next| one.statement() == next.statement()) {
        match run {
            [one] => {
                session.try_execute(one.statement(), &one.binds())?;
            }
            many => {
                let rows: Vec<_> = many.iter().map(Outgoing::binds).collect();
                session.try_run_each(many[0].statement(), &rows)?;
            }
        }
    }
    Ok(())
}

/// Takes a message out of the queue, or waits for one as long as it is said. The message stays held
/// by the session's transaction unless the dequeue is immediate.
pub(crate) fn dequeue(session: &Session, wanted: &Wanted) -> Result<Option<Incoming>> {
    let run = || {
        let (text, payload) = match wanted.queue.payload {
            PayloadKind::Json => (sql::DEQUEUE_JSON, OracleType::CLOB),
            PayloadKind::Raw => (sql::DEQUEUE_RAW, OracleType::Raw(32_767)),
        };
        let visibility = if wanted.immediate {
            IMMEDIATE
        } else {
            ON_COMMIT
        };
        let wait = i64::try_from(wanted.wait_seconds).unwrap_or(i64::MAX);
        let number = OracleType::Number(0, 0);
        let mut statement = session.connection().statement(text).build()?;
        statement.execute_named(&[
            ("visibility", &visibility),
            ("wait_seconds", &wait),
            ("deq_condition", &wanted.condition),
            ("consumer_name", &wanted.consumer),
            ("queue_name", &wanted.queue.name),
            ("found", &number),
            ("payload", &payload),
            ("msgid", &OracleType::Raw(16)),
            ("attempts", &number),
            ("priority", &number),
        ])?;
        if statement.bind_value::<_, i64>("found")? == 0 {
            return Ok(None);
        }
        let body = match wanted.queue.payload {
            PayloadKind::Json => statement
                .bind_value::<_, Option<String>>("payload")?
                .map(String::into_bytes),
            PayloadKind::Raw => statement.bind_value("payload")?,
        };
        let id = statement.bind_value::<_, Vec<u8>>("msgid")?;
        Ok(Some(Incoming {
            id: id.try_into().unwrap_or_default(),
            body,
            rollbacks: statement.bind_value("attempts")?,
            priority: statement.bind_value("priority")?,
        }))
    };
    run().map_err(|error| oracle_error(Op::Receive, session.backend(), error))
}
