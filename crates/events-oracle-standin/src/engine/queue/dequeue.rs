//! `DBMS_AQ.DEQUEUE`.

use std::time::{Duration, Instant};

use super::block::refused;
use super::store::{IMMEDIATE, Message, Queue, Wanted};
use super::{Run, condition};
use crate::OraError;
use crate::value::Value;

const BROWSE: i64 = 1;
const REMOVE: i64 = 3;

/// How often a waiting dequeue looks at what other processes did.
const LOOK: Duration = Duration::from_millis(5);

impl Run<'_> {
    pub(super) fn dequeue(&mut self, arguments: &[(String, String)]) -> Result<(), OraError> {
        let queue = self
            .store
            .queue(&self.text_argument(arguments, "queue_name")?)?;
        let consumer = self
            .field("v_opts.consumer_name")
            .text()?
            .map(str::to_ascii_uppercase);
        if queue.multiple && consumer.is_none() {
            return Err(OraError::new(
                25231,
                "cannot dequeue because CONSUMER_NAME not specified",
            ));
        }
        if !queue.multiple && consumer.is_some() {
            // Also of an exception queue, whose messages are no consumer's.
            return Err(refused("CONSUMER_NAME in a queue for single consumers"));
        }
        let mode = self
            .field("v_opts.dequeue_mode")
            .integer()?
            .unwrap_or(REMOVE);
        if mode != REMOVE && mode != BROWSE {
            return Err(OraError::new(25200, "invalid value for DEQUEUE_MODE"));
        }
        let correlations = match self.field("v_opts.deq_condition").text()? {
            None => None,
            Some(text) => Some(condition::correlations(text, "tab.corrid")?),
        };
        let msgid = match self.field("v_opts.msgid") {
            Value::Null => None,
            other => other.bytes()?.map(<[u8]>::to_vec),
        };
        let wanted = Wanted {
            consumer,
            correlations,
            msgid,
        };
        let message = self.wait_for(&queue, &wanted)?;
        let lasting = self.field("v_opts.visibility").integer()?.unwrap_or(2) == IMMEDIATE;
        if mode == REMOVE {
            self.store.take(&message, lasting)?;
        }
        let payload = match message.payload {
            None => Value::Null,
            Some(bytes) if queue.payload_type == "JSON" => {
                Value::Text(String::from_utf8_lossy(&bytes).into_owned())
            }
            Some(bytes) => Value::Bytes(bytes),
        };
        let integer = |number| Value::Integer(number);
        let text = |text: Option<String>| text.map_or(Value::Null, Value::Text);
        for (field, value) in [
            ("v_props.attempts", integer(message.attempts)),
            ("v_props.priority", integer(message.priority)),
            ("v_props.correlation", text(message.correlation)),
        ] {
            self.assign(field, value)?;
        }
        let (to_payload, to_id) = (
            Self::argument(arguments, "payload")?.to_owned(),
            Self::argument(arguments, "msgid")?.to_owned(),
        );
        self.assign(&to_payload, payload)?;
        self.assign(&to_id, Value::Bytes(message.msgid))
    }

    fn wait_for(&mut self, queue: &Queue, wanted: &Wanted) -> Result<Message, OraError> {
        let seconds = self.field("v_opts.wait").integer()?;
        let end = seconds.map(|seconds| {
            Instant::now() + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
        });
        let mut next_sweep = Instant::now();
        loop {
            if !self.store.queue(&queue.name)?.dequeue_enabled {
                return Err(OraError::new(
                    25226,
                    "dequeue failed, queue is not enabled for dequeue",
                ));
            }
            if Instant::now() >= next_sweep {
                self.store.sweep(queue)?;
                next_sweep = Instant::now() + 10 * LOOK;
            }
            if let Some(message) = self.store.find(queue, wanted)? {
                return Ok(message);
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return Err(OraError::new(
                    25228,
                    format_args!(
                        "timeout or end-of-fetch during message dequeue from SCOTT.{}",
                        queue.name
                    ),
                ));
            }
            self.call.wait(LOOK)?;
        }
    }
}
