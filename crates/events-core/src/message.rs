//! What a consumer receives: the message and the opaque receipt that settles it.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    ChannelName, Error, ErrorKind, EventId, Metadata, Op, Result, TraceParent, trace_parent,
};

/// A delivered event.
///
/// Serialises as a JSON object with these eight fields. Dropping one does nothing: a durable
/// event that is not settled comes back when its lease ends.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct EventMessage {
    /// The identity of the event.
    pub event_id: EventId,
    /// The channel it was published to.
    pub channel: ChannelName,
    /// The payload as it was published.
    pub payload: Value,
    /// The metadata, when the publisher gave some.
    pub metadata: Option<Metadata>,
    /// How often it was claimed, this time included; 0 where nothing is counted.
    pub attempts: u32,
    /// When it became, or becomes, available.
    pub available_at: Timestamp,
    /// When the hold ends unless it is extended; `None` where there is no lease.
    pub lease_expires_at: Option<Timestamp>,
    /// When it was published, by the clock of the database.
    pub created_at: Timestamp,
    #[serde(skip)]
    receipt: Receipt,
}

impl EventMessage {
    /// A message with a payload and nothing else, for backends; set the other fields after.
    #[must_use]
    pub fn new(
        event_id: EventId,
        channel: ChannelName,
        payload: Value,
        created_at: Timestamp,
    ) -> Self {
        Self {
            event_id,
            channel,
            payload,
            metadata: None,
            attempts: 0,
            available_at: created_at,
            lease_expires_at: None,
            created_at,
            receipt: Receipt::Untracked,
        }
    }

    /// The same message, held under this receipt.
    #[must_use]
    pub fn held(mut self, receipt: Receipt) -> Self {
        self.receipt = receipt;
        self
    }

    /// The receipt that ack, nack and extend use.
    #[must_use]
    pub const fn receipt(&self) -> Receipt {
        self.receipt
    }

    /// The trace in which it was published, if the metadata names one correctly.
    ///
    /// It is what some publisher wrote: link to it rather than continue it.
    #[must_use]
    pub fn traceparent(&self) -> Option<TraceParent> {
        let text = self.metadata.as_ref()?.get(trace_parent::KEY)?.as_str()?;
        text.parse().ok()
    }

    /// Decodes the payload into a type of yours.
    ///
    /// # Errors
    /// `Codec` when the payload does not have that shape; the text names the place, not the value.
    pub fn payload_as<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(&self.payload).map_err(|e| {
            Error::new(ErrorKind::Codec, Op::Receive)
                .because(format!(
                    "payload of event {} is not a {}",
                    self.event_id,
                    std::any::type_name::<T>()
                ))
                .caused_by(e)
        })
    }
}

/// What settles a delivery. Opaque to applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Receipt {
    /// Fire and forget: there is nothing to settle.
    Untracked,
    /// One holding of one event.
    Held(HoldToken),
}

/// One holding of one stored event; a later claim of the same event has a higher fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HoldToken {
    /// The queue, which is a channel and a group.
    pub queue_id: i64,
    /// The row in that queue.
    pub row: i64,
    /// Raised by every claim of that row.
    pub fence: i64,
    /// The priority, part of the row's key in some databases.
    pub priority: i16,
    /// The attempt that this holding is.
    pub attempts: u32,
    /// Whether the publisher chose the event's id.
    pub keyed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn serialises_the_eight_fields_and_not_the_receipt() {
        let message = EventMessage::new(
            EventId::from_bytes([7; 16]),
            ChannelName::new("orders").unwrap(),
            json!({"n": 1}),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(
            serde_json::to_value(&message).unwrap(),
            json!({
                "event_id": "07070707070707070707070707070707",
                "channel": "orders",
                "payload": {"n": 1},
                "metadata": null,
                "attempts": 0,
                "available_at": "1970-01-01T00:00:00Z",
                "lease_expires_at": null,
                "created_at": "1970-01-01T00:00:00Z",
            })
        );
    }

    /// 80: everything that a message may hold at its ends.
    #[test]
    fn a_message_keeps_what_it_is_given() {
        let channel = ChannelName::new("orders").unwrap();
        for payload in [json!(null), json!({}), json!({"a": [{"b": {}}]})] {
            let at = Timestamp::UNIX_EPOCH;
            let mut message =
                EventMessage::new(EventId::new(), channel.clone(), payload.clone(), at);
            message.attempts = u32::MAX;
            message.metadata = Some(Metadata::new());
            message.lease_expires_at = Some(Timestamp::MAX);
            let shown = serde_json::to_value(message.clone()).unwrap();
            assert_eq!(shown["payload"], payload);
            assert_eq!(shown["attempts"], u32::MAX);
            assert_eq!(shown["metadata"], json!({}));
            assert_eq!(shown["lease_expires_at"], Timestamp::MAX.to_string());
        }
    }

    #[test]
    fn payload_as_decodes_or_says_what_was_wanted() {
        let message = EventMessage::new(
            EventId::new(),
            ChannelName::new("orders").unwrap(),
            json!(["canary"]),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(message.payload_as::<Vec<String>>().unwrap(), ["canary"]);
        let error = message.payload_as::<u32>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Codec);
        assert!(error.to_string().contains("u32") && !error.to_string().contains("canary"));
    }
}
