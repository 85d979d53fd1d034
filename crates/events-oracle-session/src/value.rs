//! Values that are bound to statements, each with the type of the column that it meets.
//!
//! The driver binds text as NVARCHAR2; compared with a VARCHAR2 column that makes Oracle convert
//! the column, and no index of it is used any more.

use events_core::Timestamp as Moment;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use oracle::sql_type::{OracleType, Timestamp, ToSql};
use oracle::{Connection, Result, Row, SqlValue};

/// A value for a bind variable.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// VARCHAR2; empty text is NULL to Oracle.
    Text(Option<String>),
    /// NUMBER without a fraction.
    Integer(Option<i64>),
    /// NUMBER with a fraction, such as seconds.
    Number(Option<f64>),
    /// RAW, or the content of a BLOB.
    Bytes(Option<Vec<u8>>),
    /// TIMESTAMP(6), the time in UTC.
    Time(Option<Moment>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(Some(number))
    }
}

impl From<Moment> for Value {
    fn from(time: Moment) -> Self {
        Self::Time(Some(time))
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(Some(bytes.to_vec()))
    }
}

fn bytes(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX).max(1)
}

impl ToSql for Value {
    fn oratype(&self, _: &Connection) -> Result<OracleType> {
        Ok(match self {
            Self::Text(text) => OracleType::Varchar2(bytes(text.as_deref().unwrap_or("").len())),
            Self::Integer(_) => OracleType::Int64,
            Self::Number(_) => OracleType::Number(0, 0),
            Self::Bytes(value) => OracleType::Raw(bytes(value.as_deref().unwrap_or(&[]).len())),
            Self::Time(_) => OracleType::Timestamp(6),
        })
    }

    fn to_sql(&self, slot: &mut SqlValue<'_>) -> Result<()> {
        match self {
            Self::Text(text) => text.to_sql(slot),
            Self::Integer(number) => number.to_sql(slot),
            Self::Number(number) => number.to_sql(slot),
            Self::Bytes(value) => value.to_sql(slot),
            Self::Time(time) => time.map(to_oracle).transpose()?.to_sql(slot),
        }
    }
}

/// Reads columns of a row by position.
pub trait Columns {
    /// A whole number; NULL is zero.
    ///
    /// # Errors
    /// That of the driver for a value of another type.
    fn integer(&self, column: usize) -> Result<i64>;

    /// A whole number, or NULL.
    ///
    /// # Errors
    /// As [`Columns::integer`].
    fn optional_integer(&self, column: usize) -> Result<Option<i64>>;

    /// Text; NULL is empty.
    ///
    /// # Errors
    /// As [`Columns::integer`].
    fn text(&self, column: usize) -> Result<String>;

    /// RAW, or the content of a BLOB.
    ///
    /// # Errors
    /// As [`Columns::integer`].
    fn bytes(&self, column: usize) -> Result<Option<Vec<u8>>>;

    /// A moment that is stored in UTC.
    ///
    /// # Errors
    /// As [`Columns::integer`].
    fn time(&self, column: usize) -> Result<Option<Moment>>;
}

impl Columns for Row {
    fn integer(&self, column: usize) -> Result<i64> {
        Ok(self.optional_integer(column)?.unwrap_or_default())
    }

    fn optional_integer(&self, column: usize) -> Result<Option<i64>> {
        self.get(column)
    }

    fn text(&self, column: usize) -> Result<String> {
        Ok(self.get::<_, Option<String>>(column)?.unwrap_or_default())
    }

    fn bytes(&self, column: usize) -> Result<Option<Vec<u8>>> {
        self.get(column)
    }

    fn time(&self, column: usize) -> Result<Option<Moment>> {
        let time: Option<Timestamp> = self.get(column)?;
        Ok(time.map(|time| from_oracle(&time)))
    }
}

fn to_oracle(moment: Moment) -> Result<Timestamp> {
    let time = TimeZone::UTC.to_datetime(moment);
    let part = |part: i8| u32::try_from(part).unwrap_or_default();
    Timestamp::new(
        time.year().into(),
        part(time.month()),
        part(time.day()),
        part(time.hour()),
        part(time.minute()),
        part(time.second()),
        u32::try_from(time.subsec_nanosecond()).unwrap_or_default(),
    )?
    .and_prec(6)
}

/// Nonsense of a foreign writer is brought into the range that can be shown.
fn from_oracle(time: &Timestamp) -> Moment {
    let part = |part: u32| i8::try_from(part).unwrap_or(i8::MAX);
    let civil = DateTime::new(
        i16::try_from(time.year()).unwrap_or(i16::MAX),
        part(time.month()),
        part(time.day()),
        part(time.hour()),
        part(time.minute()),
        part(time.second()),
        i32::try_from(time.nanosecond()).unwrap_or_default(),
    );
    civil
        .and_then(|civil| TimeZone::UTC.to_timestamp(civil))
        .unwrap_or(if time.year() < 1970 {
            Moment::MIN
        } else {
            Moment::MAX
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_to_the_microsecond() {
        for micros in [0, 1, -1, 1_790_000_000_123_456, 253_370_764_800_000_000] {
            let moment = Moment::from_microsecond(micros).unwrap();
            assert_eq!(from_oracle(&to_oracle(moment).unwrap()), moment, "{micros}");
        }
    }

    #[test]
    fn a_moment_that_cannot_be_shown_is_brought_into_range() {
        let far = Timestamp::new(-4712, 1, 1, 0, 0, 0, 0).unwrap();
        assert!(from_oracle(&far) < Moment::UNIX_EPOCH);
    }
}
