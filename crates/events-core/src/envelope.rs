//! The envelope of a native notification, byte-compatible with SQLSpec 0.69 in both directions.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::payload::encode_metadata;
use crate::{Error, EventId, Metadata, Op, Payload, Result};

/// The largest notification that PostgreSQL carries, in bytes of the whole envelope.
pub const MAX_NOTIFY_BYTES: usize = 7_999;

/// What an envelope takes beside payload and metadata: ids and timestamps have a fixed width.
const FRAME_BYTES: usize =
    r#"{"event_id":"","payload":,"metadata":,"published_at":""}"#.len() + 32 + 32;
/// The end of an envelope whose event is kept in a table.
const SPILLED: &str = r#","spilled":true}"#;

/// What a native notification carries beside its channel.
#[derive(Debug, Clone, PartialEq)]
pub struct NotifyEnvelope {
    /// The event; a fresh id when the sender gave none.
    pub event_id: EventId,
    /// The payload; the whole text when the sender used no envelope.
    pub payload: Value,
    /// The metadata, when there is some.
    pub metadata: Option<Metadata>,
    /// When it was published; the moment of decoding when the sender did not say.
    pub published_at: Timestamp,
}

impl NotifyEnvelope {
    /// Writes the envelope of an event.
    ///
    /// # Errors
    /// `InvalidInput` above [`MAX_NOTIFY_BYTES`], naming both sizes and the way out.
    pub fn encode(
        event_id: EventId,
        payload: &Payload,
        metadata: Option<&Payload>,
        published_at: Timestamp,
    ) -> Result<String> {
        let text = Self::encode_any(event_id, payload, metadata, published_at);
        if text.len() <= MAX_NOTIFY_BYTES {
            return Ok(text);
        }
        Err(Error::invalid_input(
            Op::Publish,
            format!(
                "the notification would be {} bytes, PostgreSQL carries {MAX_NOTIFY_BYTES}; check with measure_notify_payload or fits_notify_payload, send a reference, or use a queue backend",
                text.len()
            ),
        ))
    }

    /// Writes the envelope of an event, however large it is.
    #[must_use]
    pub fn encode_any(
        event_id: EventId,
        payload: &Payload,
        metadata: Option<&Payload>,
        published_at: Timestamp,
    ) -> String {
        // Written for each event, so piece by piece into one allocation.
        let mut hex = [0; 32];
        let id = Uuid::from(event_id).simple().encode_lower(&mut hex);
        let metadata = metadata.map_or("null", Payload::text);
        let mut text = String::with_capacity(FRAME_BYTES + payload.len() + metadata.len());
        for piece in [
            r#"{"event_id":""#,
            id,
            r#"","payload":"#,
            payload.text(),
            r#","metadata":"#,
            metadata,
            r#","published_at":""#,
        ] {
            text.push_str(piece);
        }
        push_moment(&mut text, published_at);
        text.push_str(r#""}"#);
        text
    }

    /// Writes what stands in the place of an envelope of so many bytes that is kept in a table.
    ///
    /// It is an envelope itself, whose payload says this to programs that do not fetch it.
    #[must_use]
    pub fn encode_spilled(
        event_id: EventId,
        table: &str,
        bytes: usize,
        published_at: Timestamp,
    ) -> String {
        let mut at = String::new();
        push_moment(&mut at, published_at);
        format!(
            r#"{{"event_id":"{event_id}","payload":{{"spilled":{{"table":"{table}","bytes":{bytes}}}}},"metadata":null,"published_at":"{at}"{SPILLED}"#,
        )
    }

    /// The id of the event that this notification leaves in a table.
    ///
    /// A payload cannot pass for it: the mark stands beside the payload.
    #[must_use]
    pub fn spilled(text: &str) -> Option<EventId> {
        // Asked for every notification, so nothing is parsed in vain.
        if !text.ends_with(SPILLED) {
            return None;
        }
        let value: Value = serde_json::from_str(text).ok()?;
        EventId::parse(value.get("event_id")?.as_str()?).ok()
    }

    /// Reads a notification of ours, of SQLSpec, or of anybody else who sends JSON.
    ///
    /// `None` for text that is not JSON and for the wake-up markers of SQLSpec's hybrid backend.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let now = Timestamp::now();
        let Value::Object(mut object) = value else {
            return Some(Self {
                event_id: EventId::new(),
                payload: value,
                metadata: None,
                published_at: now,
            });
        };
        if is_marker(&object) {
            return None;
        }
        let Some(payload) = object.remove("payload") else {
            let payload = Value::Object(object);
            return Some(Self {
                event_id: EventId::new(),
                payload,
                metadata: None,
                published_at: now,
            });
        };
        let text_of = |key: &str| object.get(key).and_then(Value::as_str);
        Some(Self {
            event_id: text_of("event_id")
                .and_then(|id| EventId::parse(id).ok())
                .unwrap_or_else(EventId::new),
            published_at: text_of("published_at").and_then(moment).unwrap_or(now),
            metadata: match object.remove("metadata") {
                Some(Value::Object(metadata)) => Some(metadata),
                _ => None,
            },
            payload,
        })
    }
}

/// A timestamp as SQLSpec writes it, of a fixed width.
fn push_moment(text: &mut String, moment: Timestamp) {
    let at = TimeZone::UTC.to_datetime(moment);
    let fields = [
        (i32::from(at.year()), 1_000, '-'),
        (i32::from(at.month()), 10, '-'),
        (i32::from(at.day()), 10, 'T'),
        (i32::from(at.hour()), 10, ':'),
        (i32::from(at.minute()), 10, ':'),
        (i32::from(at.second()), 10, '.'),
        (at.subsec_nanosecond() / 1_000, 100_000, '+'),
    ];
    for (value, mut unit, end) in fields {
        while unit > 0 {
            text.push(char::from(
                b"0123456789"[(value / unit % 10).unsigned_abs() as usize],
            ));
            unit /= 10;
        }
        text.push(end);
    }
    text.push_str("00:00");
}

/// A timestamp; one without an offset is meant in UTC.
fn moment(text: &str) -> Option<Timestamp> {
    let civil = |text: &str| -> Option<Timestamp> {
        let civil: DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(civil).ok()
    };
    text.parse().ok().or_else(|| civil(text))
}

/// Whether this is `{"event_id": …}` or `{"batch_size": …, "marker_id": …}` and nothing more.
fn is_marker(object: &Metadata) -> bool {
    match object.len() {
        1 => object.contains_key("event_id"),
        2 => object.contains_key("batch_size") && object.contains_key("marker_id"),
        _ => false,
    }
}

/// How many bytes the envelope of this event will have.
///
/// # Errors
/// `InvalidInput` when payload or metadata break a rule that does not concern their size.
pub fn measure_notify_payload(
    payload: &impl Serialize,
    metadata: Option<&Metadata>,
) -> Result<usize> {
    let payload = Payload::encode(payload)?;
    let metadata = metadata.map(encode_metadata).transpose()?;
    Ok(FRAME_BYTES + payload.len() + metadata.map_or("null".len(), |m| m.len()))
}

/// Whether the envelope of this event fits into one notification.
///
/// # Errors
/// As [`measure_notify_payload`].
pub fn fits_notify_payload(payload: &impl Serialize, metadata: Option<&Metadata>) -> Result<bool> {
    Ok(measure_notify_payload(payload, metadata)? <= MAX_NOTIFY_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn encoded(payload: &Value, metadata: Option<&Value>) -> Result<String> {
        let metadata = metadata.map(|m| Payload::encode(m).unwrap());
        NotifyEnvelope::encode(
            EventId::from_bytes([1; 16]),
            &Payload::encode(payload).unwrap(),
            metadata.as_ref(),
            Timestamp::UNIX_EPOCH,
        )
    }

    #[test]
    fn written_and_read_back() {
        let text = encoded(&json!({"a": "ü"}), Some(&json!({"m": [1]}))).unwrap();
        assert_eq!(
            text,
            r#"{"event_id":"01010101010101010101010101010101","payload":{"a":"ü"},"metadata":{"m":[1]},"published_at":"1970-01-01T00:00:00.000000+00:00"}"#
        );
        let envelope = NotifyEnvelope::decode(&text).unwrap();
        assert_eq!(envelope.payload, json!({"a": "ü"}));
        assert_eq!(envelope.event_id, EventId::from_bytes([1; 16]));
        assert_eq!(envelope.published_at, Timestamp::UNIX_EPOCH);
        assert_eq!(Value::from(envelope.metadata.unwrap()), json!({"m": [1]}));
    }

    #[test]
    fn measured_size_is_the_encoded_size() {
        for (payload, metadata) in [
            (json!("ascii"), None),
            (json!({"ü": "日本"}), Some(json!({"k": "é"}))),
        ] {
            let map = metadata.as_ref().and_then(Value::as_object);
            let measured = measure_notify_payload(&payload, map).unwrap();
            assert_eq!(
                measured,
                encoded(&payload, metadata.as_ref()).unwrap().len()
            );
        }
    }

    #[test]
    fn exactly_7999_bytes_fit() {
        let frame = measure_notify_payload(&json!(""), None).unwrap();
        let fitting = json!("x".repeat(MAX_NOTIFY_BYTES - frame));
        assert!(fits_notify_payload(&fitting, None).unwrap());
        assert_eq!(encoded(&fitting, None).unwrap().len(), MAX_NOTIFY_BYTES);
        let larger = json!("x".repeat(MAX_NOTIFY_BYTES - frame + 1));
        assert!(!fits_notify_payload(&larger, None).unwrap());
        let error = encoded(&larger, None).unwrap_err().to_string();
        assert!(
            error.contains("8000 bytes") && error.contains("7999"),
            "{error}"
        );
    }

    #[test]
    fn foreign_text_keeps_its_content() {
        assert_eq!(
            NotifyEnvelope::decode("[1,2]").unwrap().payload,
            json!([1, 2])
        );
        assert_eq!(
            NotifyEnvelope::decode(r#"{"k":1}"#).unwrap().payload,
            json!({"k": 1})
        );
    }

    /// 73, 74, 78: ours always has the same width; older widths, other offsets and none at all are
    /// read; what is no time is now.
    #[test]
    fn timestamps_of_all_ages_are_read() {
        for (second, nanos) in [
            (1_790_000_000, 0),
            (1_790_000_000, 1_000),
            (951_782_399, 500_000_000), // the last second of a leap day
            (253_402_207_199, 999_999_999), // of the year 9999
            (0, 120),
        ] {
            let at = Timestamp::new(second, nanos).unwrap();
            let payload = Payload::encode(&1).unwrap();
            let text = NotifyEnvelope::encode(EventId::new(), &payload, None, at).unwrap();
            let written = text.rsplit('"').nth(1).unwrap();
            assert_eq!(written.len(), 32, "{written}");
            let expected = at.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string();
            assert_eq!(written, expected);
            assert!(written.ends_with("+00:00"), "{written}");
        }
        let read = |at: &str| {
            let text = format!(r#"{{"event_id":"x","payload":null,"published_at":{at}}}"#);
            NotifyEnvelope::decode(&text).unwrap().published_at
        };
        let half_past: Timestamp = "2026-01-01T00:00:00.5Z".parse().unwrap();
        for written in [
            r#""2026-01-01T00:00:00.500000+00:00""#,
            r#""2026-01-01T00:00:00.5Z""#,
            r#""2026-01-01T02:00:00.5+02:00""#,
            r#""2026-01-01T00:00:00.5""#,
            r#""2026-01-01 00:00:00.500""#,
        ] {
            assert_eq!(read(written), half_past, "{written}");
        }
        let before = Timestamp::now();
        for nothing in ["null", "17", r#""yesterday""#, r#""""#] {
            let at = read(nothing);
            assert!((before..=Timestamp::now()).contains(&at), "{nothing}");
        }
    }

    #[test]
    fn markers_and_plain_text_are_no_events() {
        let probe = "__sqlspec_psqlpy_ready__:00";
        for text in [
            "",
            "plain",
            probe,
            r#"{"event_id":"a"}"#,
            r#"{"batch_size":2,"marker_id":"b"}"#,
        ] {
            assert_eq!(NotifyEnvelope::decode(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_kept_in_a_table_is_told_by_its_id_and_nothing_else_passes_for_it() {
        let id = EventId::new();
        let text = NotifyEnvelope::encode_spilled(id, "app.spill", 9_000, Timestamp::now());
        assert_eq!(NotifyEnvelope::spilled(&text), Some(id));
        // Who does not fetch it is told where it is.
        let seen = NotifyEnvelope::decode(&text).unwrap();
        let expected = json!({"spilled": {"table": "app.spill", "bytes": 9_000}});
        assert_eq!((seen.event_id, &seen.payload), (id, &expected));
        let forged = encoded(&expected, Some(&json!({"spilled": true}))).unwrap();
        assert_eq!(NotifyEnvelope::spilled(&forged), None);
    }
}
