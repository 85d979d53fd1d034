//! `DBMS_AQ.ENQUEUE`.

use rusqlite::params;

use super::Run;
use super::store::{self, IMMEDIATE};
use crate::OraError;
use crate::value::Value;

impl Run<'_> {
    pub(super) fn enqueue(&mut self, arguments: &[(String, String)]) -> Result<(), OraError> {
        let queue = self
            .store
            .queue(&self.text_argument(arguments, "queue_name")?)?;
        if !queue.enqueue_enabled {
            return Err(OraError::new(25207, "enqueue failed, queue is disabled"));
        }
        let payload = self.value(Self::argument(arguments, "payload")?)?;
        let payload = match (queue.payload_type.as_str(), payload) {
            (_, Value::Null) => None,
            ("JSON", Value::Text(text)) => Some(text.into_bytes()),
            ("RAW", Value::Bytes(bytes)) if bytes.len() <= 32_767 => Some(bytes),
            _ => {
                return Err(OraError::new(
                    25215,
                    "user_data type and queue type do not match",
                ));
            }
        };
        let number = |field: &str| self.field(field).integer();
        let visibility = number("v_opts.visibility")?.unwrap_or(2);
        if !(1..=2).contains(&visibility) {
            return Err(OraError::new(25201, "invalid value, VISIBILITY"));
        }
        let delay = number("v_props.delay")?
            .filter(|delay| *delay >= 0)
            .ok_or_else(|| OraError::new(25203, "invalid value for DELAY"))?;
        let expiration = number("v_props.expiration")?
            .filter(|time| *time >= -1)
            .ok_or_else(|| OraError::new(25204, "invalid value for EXPIRATION"))?;
        let priority = number("v_props.priority")?.unwrap_or(1);
        let correlation = self.field("v_props.correlation").text()?.map(str::to_owned);
        let now = store::now();
        let ready_at = now + delay * 1_000_000;
        let id = self.store.new_id()?;
        let holder = (visibility != IMMEDIATE).then_some(self.store.session);
        let recipients = self.store.recipients(&queue, correlation.as_deref())?;
        let work = self.store.begin()?;
        for consumer in recipients {
            work.execute(
                "INSERT INTO messages (msgid, queue, consumer, corrid, priority, ready_at,
                                       expires_at, enq_time, payload, enqueued_by)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    id,
                    queue.name,
                    consumer,
                    correlation,
                    priority,
                    ready_at,
                    (expiration >= 0).then(|| ready_at + expiration * 1_000_000),
                    now,
                    payload,
                    holder,
                ],
            )?;
        }
        work.commit()?;
        let msgid = Self::argument(arguments, "msgid")?.to_owned();
        self.assign(&msgid, Value::Bytes(id))
    }
}
