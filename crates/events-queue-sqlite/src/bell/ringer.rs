//! What a writer rings after its commit.

use std::path::Path;
use std::sync::Arc;

use events_core::ChannelName;
use events_queue::Wakes;

use super::shared::Seat;

/// Who is to be woken once a transaction is committed.
#[derive(Debug, Clone)]
pub(crate) enum Ring {
    /// As many consumers of each group of a channel as there are new events.
    Channel(ChannelName, usize),
    /// As many consumers of one queue.
    Queue(i64, usize),
}

/// Rings for the consumers of one channel object, of others in this process, and of others on
/// this machine.
#[derive(Debug, Clone)]
pub(crate) struct Ringer {
    wakes: Arc<Wakes>,
    /// None for a database in memory, which nobody else can see.
    seat: Option<Arc<Seat>>,
}

impl Ringer {
    /// For a database in memory.
    pub(crate) fn alone(wakes: Arc<Wakes>) -> Self {
        Self { wakes, seat: None }
    }

    pub(super) fn seated(wakes: Arc<Wakes>, seat: Seat) -> Self {
        Self {
            wakes,
            seat: Some(Arc::new(seat)),
        }
    }

    pub(crate) fn wakes(&self) -> &Arc<Wakes> {
        &self.wakes
    }

    /// Whether consumers of other processes are woken at once.
    pub(crate) fn reaches_other_processes(&self) -> bool {
        self.seat.as_ref().is_some_and(|seat| seat.works())
    }

    /// The database file.
    pub(crate) fn database(&self) -> Option<&Path> {
        self.seat.as_ref().map(|seat| seat.database())
    }

    /// Wakes whom a committed transaction concerns.
    pub(crate) fn ring(&self, rings: &[Ring]) {
        if rings.is_empty() {
            return;
        }
        ring_all(&self.wakes, rings);
        if let Some(seat) = &self.seat {
            seat.ring(rings);
        }
    }

    /// Ends the watch for this channel object, and the connection that belongs to it.
    pub(crate) fn leave(&self) {
        if let Some(seat) = &self.seat {
            seat.leave();
        }
    }
}

pub(super) fn ring_all(wakes: &Wakes, rings: &[Ring]) {
    for ring in rings {
        match ring {
            Ring::Channel(channel, events) => wakes.ring_channel(channel, *events),
            Ring::Queue(queue_id, events) => wakes.ring_queue(*queue_id, *events),
        }
    }
}
