//! What a writer rings after its commit.

use std::path::Path;
use std::sync::Arc;

use events_core::ChannelName;
use events_queue::Wakes;

use super::shared::Seat;

/// Who is to be woken once a transaction is committed.
#[derive(Debug, Clone)]
pub(crate) enum Ring {
    /// As many consumers of each queue of a channel as there are new events.
    Channel {
        channel: ChannelName,
        queues: Vec<i64>,
        events: usize,
    },
    /// As many consumers of one queue.
    Queue(i64, usize),
}

impl Ring {
    /// The queues that it is about, and how many events each of them has got.
    pub(crate) fn queues(&self) -> (&[i64], usize) {
        match self {
            Self::Channel { queues, events, .. } => (queues, *events),
            Self::Queue(queue_id, events) => (std::slice::from_ref(queue_id), *events),
        }
    }
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
        self.ring_unless(rings, |_| false);
    }

    /// The same, except for consumers of this channel object whose queue was `served`.
    pub(crate) fn ring_unless(&self, rings: &[Ring], served: impl Fn(i64) -> bool) {
        if rings.is_empty() {
            return;
        }
        ring_all(&self.wakes, rings, served);
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

pub(super) fn ring_all(wakes: &Wakes, rings: &[Ring], served: impl Fn(i64) -> bool) {
    for ring in rings {
        let (queues, events) = ring.queues();
        for queue_id in queues.iter().filter(|queue_id| !served(**queue_id)) {
            wakes.ring_queue(*queue_id, events);
        }
    }
}
