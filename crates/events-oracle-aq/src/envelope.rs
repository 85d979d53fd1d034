//! What travels in a message: the keys of SQLSpec's envelope, and what a second delivery must know.

use std::time::Duration;

use events_core::{ChannelName, EventId, Metadata, Payload, Timestamp};
use serde_json::{Map, Value, json};

/// An event inside a message.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    pub(crate) event_id: EventId,
    pub(crate) payload: Value,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) published_at: Timestamp,
    /// Deliveries before this message was put into the queue.
    pub(crate) attempts: u32,
    /// When it is not to be delivered any more.
    pub(crate) expires_at: Option<Timestamp>,
    /// What a consumer said the last time.
    pub(crate) last_error: Option<String>,
}

/// The most of a reason that is kept, in bytes.
const REASON: usize = 2048;

impl Envelope {
    /// A new event.
    pub(crate) fn new(
        payload: &Payload,
        metadata: Option<&Payload>,
        now: Timestamp,
        expires_in: Option<Duration>,
    ) -> Self {
        let read = |text: &Payload| serde_json::from_str(text.text()).unwrap_or(Value::Null);
        Self {
            event_id: EventId::new(),
            payload: read(payload),
            metadata: match metadata.map(read) {
                Some(Value::Object(metadata)) => Some(metadata),
                _ => None,
            },
            published_at: now,
            attempts: 0,
            expires_at: expires_in.and_then(|time| now.checked_add(time).ok()),
            last_error: None,
        }
    }

    /// The text of a message.
    pub(crate) fn encode(&self, channel: &ChannelName) -> String {
        Value::Object(self.object(channel)).to_string()
    }

    /// The text of a dead letter.
    pub(crate) fn encode_dead(
        &self,
        channel: &ChannelName,
        reason: &str,
        now: Timestamp,
    ) -> String {
        let mut object = self.object(channel);
        object.insert("reason".to_owned(), reason.into());
        object.insert("died_at".to_owned(), now.to_string().into());
        Value::Object(object).to_string()
    }

    fn object(&self, channel: &ChannelName) -> Map<String, Value> {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
        put("channel", channel.as_str().into());
        put("event_id", self.event_id.to_string().into());
        put("payload", self.payload.clone());
        put("metadata", json!(self.metadata));
        put("published_at", self.published_at.to_string().into());
        if self.attempts > 0 {
            put("attempts", self.attempts.into());
        }
        if let Some(at) = self.expires_at {
            put("expires_at", at.to_string().into());
        }
        if let Some(error) = &self.last_error {
            put("last_error", error.as_str().into());
        }
        object
    }

    /// Reads a message. What another program wrote in a shape of its own is a payload as a whole,
    /// with the id of the message.
    pub(crate) fn decode(body: Option<&[u8]>, message: [u8; 16]) -> Self {
        let foreign = |payload| Self {
            event_id: EventId::from_bytes(message),
            payload,
            metadata: None,
            published_at: Timestamp::now(),
            attempts: 0,
            expires_at: None,
            last_error: None,
        };
        let Some(body) = body else {
            return foreign(Value::Null);
        };
        let mut object = match serde_json::from_slice(body) {
            Ok(Value::Object(object)) if object.contains_key("payload") => object,
            Ok(other) => return foreign(other),
            Err(_) => return foreign(String::from_utf8_lossy(body).into()),
        };
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        let moment = |key: &str| text(key).and_then(|text| text.parse().ok());
        let mut envelope = Self {
            event_id: text("event_id")
                .and_then(|id| EventId::parse(id).ok())
                .unwrap_or_else(|| EventId::from_bytes(message)),
            published_at: moment("published_at").unwrap_or_else(Timestamp::now),
            expires_at: moment("expires_at"),
            attempts: object
                .get("attempts")
                .and_then(Value::as_u64)
                .and_then(|attempts| u32::try_from(attempts).ok())
                .unwrap_or_default(),
            last_error: text("last_error").map(str::to_owned),
            payload: Value::Null,
            metadata: None,
        };
        envelope.payload = object.remove("payload").unwrap_or(Value::Null);
        if let Some(Value::Object(metadata)) = object.remove("metadata") {
            envelope.metadata = Some(metadata);
        }
        envelope
    }

    /// Notes why it was not handled; without a reason the one before stays.
    pub(crate) fn failed(&mut self, reason: Option<String>) {
        let Some(mut reason) = reason else {
            return;
        };
        let end = (0..=REASON.min(reason.len()))
            .rev()
            .find(|end| reason.is_char_boundary(*end));
        reason.truncate(end.unwrap_or(0));
        self.last_error = Some(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::PayloadKind;

    fn decoded(text: &str) -> Envelope {
        Envelope::decode(Some(text.as_bytes()), [7; 16])
    }

    #[test]
    fn an_envelope_comes_back() {
        let channel = ChannelName::new("orders").unwrap();
        let payload = Payload::encode(&json!({"n": 1})).unwrap();
        let metadata = Payload::encode(&json!({"source": "x"})).unwrap();
        let hour = Duration::from_secs(3600);
        let mut sent = Envelope::new(&payload, Some(&metadata), Timestamp::now(), Some(hour));
        sent.attempts = 3;
        sent.failed(Some("ä".repeat(2000)));
        let back = decoded(&sent.encode(&channel));
        assert_eq!(back.event_id, sent.event_id);
        assert_eq!((back.payload, back.metadata), (sent.payload, sent.metadata));
        assert_eq!(back.published_at, sent.published_at);
        assert_eq!((back.attempts, back.expires_at), (3, sent.expires_at));
        assert_eq!(back.last_error.unwrap().len(), 2048);
    }

    #[test]
    fn what_a_full_raw_message_grows_by_has_room() {
        let channel = ChannelName::new("orders").unwrap();
        let payload = Payload::encode(&json!("x")).unwrap();
        let mut event = Envelope::new(&payload, None, Timestamp::now(), None);
        let published = event.encode(&channel).len();
        event.attempts = u32::MAX;
        let dead = event.encode_dead(&channel, "max_attempts", Timestamp::MAX);
        let room = PayloadKind::RAW_BYTES - PayloadKind::RAW_EVENT_BYTES;
        assert!(dead.len() - published <= room, "{dead}");
    }

    #[test]
    fn what_others_wrote_is_a_payload() {
        let id = EventId::from_bytes([7; 16]);
        let own = decoded(r#"{"a": 1}"#);
        assert_eq!((own.event_id, own.payload), (id, json!({"a": 1})));
        assert_eq!(decoded("not json").payload, json!("not json"));
        assert_eq!(Envelope::decode(None, [7; 16]).payload, json!(null));
        let theirs = decoded(
            r#"{"channel":"c","event_id":"0190a0b0c0d0e0f0a0b0c0d0e0f0a0b0","payload":[1],
                "metadata":null,"published_at":"2026-01-02T03:04:05.000006+00:00"}"#,
        );
        assert_eq!(theirs.payload, json!([1]));
        assert_eq!(theirs.published_at.as_microsecond(), 1_767_323_045_000_006);
        assert_eq!(
            theirs.event_id.to_string(),
            "0190a0b0c0d0e0f0a0b0c0d0e0f0a0b0"
        );
    }
}
