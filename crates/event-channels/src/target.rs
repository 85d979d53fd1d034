//! What a verdict is about.

use events_core::{EventId, EventMessage, Receipt};

/// What ack, nack and extend are about: a message, or the id of one that this channel object
/// holds. Made by `From`; both `&message` and `&message.event_id` will do.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Target {
    /// An event and the receipt of its delivery.
    #[non_exhaustive]
    Message(EventId, Receipt),
    /// An event that this channel object holds.
    Id(EventId),
}

impl From<&EventMessage> for Target {
    fn from(message: &EventMessage) -> Self {
        Self::Message(message.event_id, message.receipt())
    }
}

impl From<&EventId> for Target {
    fn from(id: &EventId) -> Self {
        Self::Id(*id)
    }
}

impl From<EventId> for Target {
    fn from(id: EventId) -> Self {
        Self::Id(id)
    }
}
