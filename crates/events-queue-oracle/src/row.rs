//! Rows as Oracle stores them, in the library's types.

use std::time::Duration;

use events_core::{Error, ErrorKind, EventId, GroupName, Op, Result, Timestamp};
use events_oracle_session::oracle::{self, Row};
use events_oracle_session::{Columns as _, Value};

use crate::error::BACKEND;

/// The group name that stands for the default group; no checked name can be it.
pub(crate) const DEFAULT_GROUP: &str = "-";

/// States of a row that a statement is given.
pub(crate) const READY: i64 = 0;
pub(crate) const DELAYED: i64 = 1;
pub(crate) const SUSPECT: i64 = 2;
pub(crate) const LEASED: i64 = 3;

/// Longer times overflow what Oracle calls a TIMESTAMP; these are three thousand years.
const MOST_SECONDS: f64 = 94_608_000_000.0;
/// The bytes of an id.
pub(crate) const ID_BYTES: usize = 16;
/// The most bytes of an error's text that are kept.
const MOST_ERROR: usize = 4000;

/// A time span as seconds for `NUMTODSINTERVAL`.
pub(crate) fn seconds(time: Duration) -> Value {
    Value::Number(Some(time.as_secs_f64().min(MOST_SECONDS)))
}

/// An id as RAW(16).
pub(crate) fn id(event_id: &EventId) -> Value {
    Value::from(event_id.as_bytes().as_slice())
}

/// Why an event failed, cut to what the column holds; empty text would be NULL.
pub(crate) fn last_error(text: Option<&str>) -> Value {
    let text = text.map(|text| &text[..text.floor_char_boundary(MOST_ERROR)]);
    Value::Text(text.filter(|text| !text.is_empty()).map(str::to_owned))
}

/// The id of an event. One of a foreign writer that is too short is filled up with zeros.
pub(crate) fn event_id(row: &Row, column: usize) -> oracle::Result<EventId> {
    Ok(filled_up(&row.bytes(column)?.unwrap_or_default()))
}

/// An id of these bytes; the column holds no more than 16.
pub(crate) fn filled_up(stored: &[u8]) -> EventId {
    let mut bytes = [0; ID_BYTES];
    for (byte, stored) in bytes.iter_mut().zip(stored) {
        *byte = *stored;
    }
    EventId::from_bytes(bytes)
}

/// A stored text. Bytes of a foreign writer that are no UTF-8 become text that is no JSON, so that
/// the event becomes a dead letter and holds up nobody.
pub(crate) fn json(row: &Row, column: usize) -> oracle::Result<Option<String>> {
    let text =
        |bytes| String::from_utf8(bytes).unwrap_or_else(|_| "bytes that are not UTF-8".to_owned());
    Ok(row.bytes(column)?.map(text))
}

/// A moment that is never NULL.
pub(crate) fn time(row: &Row, column: usize) -> oracle::Result<Timestamp> {
    Ok(row.time(column)?.unwrap_or(Timestamp::UNIX_EPOCH))
}

/// A priority, which is stored negated. One of a foreign writer is brought into range.
pub(crate) fn priority(stored: i64) -> i16 {
    let negated = stored.saturating_neg();
    i16::try_from(negated).unwrap_or(if negated < 0 { i16::MIN } else { i16::MAX })
}

/// A number of attempts, with the same care.
pub(crate) fn attempts(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(if stored < 0 { 0 } else { u32::MAX })
}

/// A number brought into the range of another type.
pub(crate) fn within<T: TryFrom<i64> + Default>(number: i64) -> T {
    T::try_from(number).unwrap_or_default()
}

/// The name of a group as it is stored.
pub(crate) fn group_name(stored: &str) -> Result<Option<GroupName>> {
    match stored {
        DEFAULT_GROUP => Ok(None),
        name => GroupName::new(name).map(Some).map_err(|e| foreign_name(&e)),
    }
}

/// A name that stands in the table and breaks the rules.
pub(crate) fn foreign_name(error: &Error) -> Error {
    Error::new(ErrorKind::Codec, Op::Admin)
        .because(format!(
            "another program registered a name that is no channel or group: {}",
            error.detail().unwrap_or_default()
        ))
        .in_backend(BACKEND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_cut_between_characters_and_never_empty() {
        assert_eq!(last_error(Some("")), Value::Text(None));
        let long = "ü".repeat(3000);
        let Value::Text(Some(text)) = last_error(Some(&long)) else {
            panic!("there is text");
        };
        assert_eq!(text.len(), 4000);
    }

    #[test]
    fn numbers_of_other_programs_are_brought_into_range() {
        assert_eq!([-99_999, 99_999, 5].map(priority), [i16::MAX, i16::MIN, -5]);
        assert_eq!([-5, 9_999_999_999, 5].map(attempts), [0, u32::MAX, 5]);
    }

    #[test]
    fn no_time_overflows() {
        assert_eq!(seconds(Duration::MAX), Value::Number(Some(MOST_SECONDS)));
        assert_eq!(
            seconds(Duration::from_millis(1500)),
            Value::Number(Some(1.5))
        );
    }
}
