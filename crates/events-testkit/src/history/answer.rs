//! How operations end.

use event_channels::{Error, ErrorKind, EventId, EventMessage, Receipt, Settled};
use serde::{Deserialize, Serialize};

use super::hash;

/// How an operation ended; each fits one [`Op`](super::Op).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The ids in the order of the events. A process that was killed while it told them leaves
    /// out the last ones.
    Published(Outcome<Vec<EventId>>),
    /// An event, or the end of the stream.
    Received(Outcome<Option<Delivered>>),
    /// What became of a verdict.
    Settled(Outcome<Recorded>),
    /// How many dead letters were put back.
    Requeued(Outcome<u64>),
}

/// The outcome of an operation that answered. One that did not is unknown as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome<T> {
    /// It was done.
    Ok(T),
    /// It was not done, for this reason.
    Refused(String),
    /// It may have been done.
    Unknown(String),
}

impl<T> Outcome<T> {
    /// The outcome that an error of the library stands for.
    #[must_use]
    pub fn of_error(error: &Error) -> Self {
        let reason = error.kind().to_string();
        match error.kind() {
            // What the database said may not be all that it did.
            ErrorKind::Unavailable
            | ErrorKind::Timeout
            | ErrorKind::Corrupt
            | ErrorKind::Codec
            | ErrorKind::Backend => Self::Unknown(reason),
            _ => Self::Refused(reason),
        }
    }

    /// The outcome of a call of the library.
    #[must_use]
    pub fn of<U>(answer: &Result<U, Error>, done: impl FnOnce(&U) -> T) -> Self {
        match answer {
            Ok(value) => Self::Ok(done(value)),
            Err(error) => Self::of_error(error),
        }
    }
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The event.
    pub event: EventId,
    /// How often it was claimed, as the message says.
    pub attempt: u32,
    /// The fence of the claim, where the backend has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<i64>,
    /// When the lease ends, in microseconds of the clock of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<i64>,
    /// The [`hash`] of the payload.
    pub payload: u64,
}

impl Delivered {
    /// What a message says.
    #[must_use]
    pub fn of(message: &EventMessage) -> Self {
        Self {
            event: message.event_id,
            attempt: message.attempts,
            fence: match message.receipt() {
                Receipt::Held(token) => Some(token.fence),
                _ => None,
            },
            lease_until: message.lease_expires_at.map(|at| at.as_microsecond()),
            payload: hash(&message.payload),
        }
    }
}

/// What became of a verdict that was not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recorded {
    /// It was recorded.
    Now,
    /// The same holding was settled before, and that stands.
    Before,
    /// The backend records nothing.
    Nothing,
}

impl From<Settled> for Recorded {
    fn from(settled: Settled) -> Self {
        match settled {
            Settled::Recorded => Self::Now,
            Settled::AlreadyAcked | Settled::AlreadyNacked => Self::Before,
            _ => Self::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_after_which_the_database_may_have_done_it_are_unknown() {
        let of = |kind| Outcome::<()>::of_error(&Error::new(kind, event_channels::Op::Publish));
        assert_eq!(of(ErrorKind::Busy), Outcome::Refused("busy".to_owned()));
        assert_eq!(
            of(ErrorKind::Unavailable),
            Outcome::Unknown("unavailable".to_owned())
        );
    }
}
