//! Event ids: 16 bytes in storage, 32 hex digits to the user.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::{Error, Op, Result};

/// The identity of an event, the same in every backend and every group.
///
/// Generated ids are UUIDv7, so they sort by time of publishing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
    /// Makes a fresh, time-ordered id.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "a default that differs on each call would surprise"
    )]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id with these 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes that a database stores.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Reads a UUID written with or without hyphens.
    ///
    /// # Errors
    /// `InvalidInput` for anything else. To use a key of your own, derive a UUIDv5 from it.
    pub fn parse(text: &str) -> Result<Self> {
        let plain = matches!(text.len(), 32 | 36);
        plain.then(|| Uuid::try_parse(text).ok()).flatten().map(Self).ok_or_else(|| {
            Error::invalid_input(
                Op::Publish,
                format!(
                    "event id {:?} is not a UUID of 32 hex digits, with or without hyphens; derive a UUIDv5 from a key of another form",
                    text.chars().take(64).collect::<String>()
                ),
            )
        })
    }
}

impl From<Uuid> for EventId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl From<EventId> for Uuid {
    fn from(id: EventId) -> Self {
        id.0
    }
}

impl FromStr for EventId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_simple().fmt(f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({self})")
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_as_32_hex_digits_and_read_back() {
        let id = EventId::new();
        let text = id.to_string();
        assert_eq!(text.len(), 32);
        assert_eq!(EventId::parse(&text).unwrap(), id);
        assert_eq!(
            EventId::parse(&Uuid::from(id).hyphenated().to_string()).unwrap(),
            id
        );
    }

    #[test]
    fn other_keys_are_refused_with_the_way_out() {
        for bad in [
            "",
            "order-1",
            "{0190163d-8694-739b-aea5-966c26f8ad91}",
            "0190163d8694739baea5966c26f8ad9g",
        ] {
            let error = EventId::parse(bad).unwrap_err();
            assert!(error.to_string().contains("UUIDv5"), "{error}");
        }
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let ids: Vec<_> = (0..1000).map(|_| EventId::new()).collect();
        assert!(ids.is_sorted());
    }
}
