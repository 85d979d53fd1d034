//! Values as PostgreSQL stores them, in the library's types.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::BytesMut;
use events_core::{ErrorKind, EventId, GroupName, HoldToken, Op, Result, Timestamp};
use events_queue::Row;
use tokio_postgres::Row as PgRow;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};
use uuid::Uuid;

use crate::error::{BACKEND, postgres};

/// The group name that stands for the default group; no checked name can be it.
pub(crate) const DEFAULT_GROUP: &str = "-";

/// From 1970 to 2000, where PostgreSQL's times begin.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// JSON as the text that it is.
#[derive(Debug)]
pub(crate) struct Json<'a>(pub(crate) &'a str);

impl ToSql for Json<'_> {
    accepts!(JSON);
    to_sql_checked!();

    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

/// JSON text that was read.
pub(crate) struct JsonText(pub(crate) String);

impl<'a> FromSql<'a> for JsonText {
    accepts!(JSON);

    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(std::str::from_utf8(raw)?.to_owned()))
    }
}

/// A point in time; what lies outside the range that can be shown is brought into it.
pub(crate) struct Time(pub(crate) Timestamp);

impl<'a> FromSql<'a> for Time {
    accepts!(TIMESTAMPTZ);

    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        let micros = i64::from_be_bytes(raw.try_into()?).saturating_add(EPOCH_MICROS);
        Ok(Self(Timestamp::from_microsecond(micros).unwrap_or(
            if micros < 0 {
                Timestamp::MIN
            } else {
                Timestamp::MAX
            },
        )))
    }
}

/// A claimed event; its columns, in the order of the claim statements, begin at `first`.
pub(crate) fn claimed(
    row: &PgRow,
    queue_id: i64,
    first: usize,
) -> Result<Row, tokio_postgres::Error> {
    let time = |at| row.try_get::<_, Time>(first + at).map(|time| time.0);
    Ok(Row {
        token: HoldToken {
            queue_id,
            row: row.try_get(first)?,
            priority: priority(row.try_get(first + 2)?),
            attempts: count(row.try_get(first + 3)?),
            fence: row.try_get(first + 4)?,
            keyed: row.try_get(first + 5)?,
        },
        event_id: EventId::from_bytes(row.try_get::<_, Uuid>(first + 1)?.into_bytes()),
        available_at: time(6)?,
        created_at: time(7)?,
        expires_at: row
            .try_get::<_, Option<Time>>(first + 8)?
            .map(|time| time.0),
        lease_expires_at: time(9)?,
        metadata: row
            .try_get::<_, Option<JsonText>>(first + 10)?
            .map(|text| text.0),
        payload: row.try_get::<_, JsonText>(first + 11)?.0,
    })
}

/// The id in the driver's type.
pub(crate) fn uuid(id: &EventId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// Priority as it is stored: negated, so that the more urgent sorts first.
pub(crate) fn rank(priority: i16) -> i32 {
    -i32::from(priority)
}

/// Priority as it was published; what a foreign writer stored outside of the range is its end.
pub(crate) fn priority(rank: i32) -> i16 {
    let negated = rank.saturating_neg();
    i16::try_from(negated).unwrap_or(if negated < 0 { i16::MIN } else { i16::MAX })
}

/// The queue id in the column's type. Ours all fit; one that does not is nobody's.
pub(crate) fn queue(id: i64) -> i32 {
    i32::try_from(id).unwrap_or(-1)
}

/// A number that is counted up from zero.
pub(crate) fn count(value: i32) -> u32 {
    u32::try_from(value).unwrap_or_default()
}

/// The longest time span that is stored, a thousand years: what is added to now stays a time.
const LONGEST: Duration = Duration::from_secs(1000 * 366 * 24 * 3600);

/// A time span in microseconds.
pub(crate) fn micros(time: Duration) -> i64 {
    i64::try_from(time.min(LONGEST).as_micros()).unwrap_or(i64::MAX)
}

/// A time from now in seconds; what has passed is zero.
pub(crate) fn seconds(time: f64) -> Duration {
    Duration::try_from_secs_f64(time.max(0.0)).unwrap_or(Duration::MAX)
}

/// The group that a stored name means.
pub(crate) fn group(stored: &str) -> Result<Option<GroupName>> {
    match stored {
        DEFAULT_GROUP => Ok(None),
        name => GroupName::new(name).map(Some).map_err(|e| foreign_name(&e)),
    }
}

/// A name that stands in the table and breaks the rules.
pub(crate) fn foreign_name(error: &events_core::Error) -> events_core::Error {
    events_core::Error::new(ErrorKind::Codec, Op::Admin)
        .because(format!(
            "another program registered a name that is no channel or group: {}",
            error.detail().unwrap_or_default()
        ))
        .in_backend(BACKEND)
}

/// Reads the rows of one statement.
pub(crate) fn read<T>(
    op: Op,
    rows: &[PgRow],
    row: impl Fn(&PgRow) -> Result<T, tokio_postgres::Error>,
) -> Result<Vec<T>> {
    rows.iter()
        .map(row)
        .collect::<Result<_, _>>()
        .map_err(|e| postgres(op, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_priority_survives_being_negated() {
        for stored in [i16::MIN, -1, 0, 1, i16::MAX] {
            assert_eq!(priority(rank(stored)), stored);
        }
        assert!(rank(5) < rank(-5));
    }

    #[test]
    fn times_begin_in_2000_and_end_at_the_limits() {
        let at = |micros: i64| {
            Time::from_sql(&Type::TIMESTAMPTZ, &micros.to_be_bytes())
                .unwrap()
                .0
        };
        assert_eq!(at(0).to_string(), "2000-01-01T00:00:00Z");
        assert_eq!(at(i64::MAX), Timestamp::MAX);
        assert_eq!(at(i64::MIN), Timestamp::MIN);
    }
}
