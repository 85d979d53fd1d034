//! What handlers of a drain share: what came, and when the last event had come.

use std::sync::atomic::{AtomicUsize, Ordering};

use event_channels::{EventMessage, block_on_until};
use tokio::sync::Notify;

use crate::measured::Tally;
use crate::payload::read_value;

/// Counts handled events, and says when all have been handled.
#[derive(Debug)]
pub(crate) struct Handled {
    pub(crate) tally: Tally,
    left: AtomicUsize,
    all: Notify,
}

impl Handled {
    pub(crate) fn new(events: usize) -> Self {
        Self {
            tally: Tally::new(events),
            left: AtomicUsize::new(events),
            all: Notify::new(),
        }
    }

    /// Notes an event; answers when it was published, by [`crate::payload::now_ns`].
    ///
    /// # Panics
    /// When the event is not one of ours.
    pub(crate) fn note(&self, message: &EventMessage) -> u64 {
        let (number, sent_ns) = read_value(&message.payload).expect("an event from nowhere");
        self.tally.note(number);
        // Handlers of one event run after each other, so one of them sees the last.
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all.notify_one();
        }
        sent_ns
    }

    /// Waits until as many were noted as were expected.
    pub(crate) async fn all(&self) {
        self.all.notified().await;
    }

    /// The same on a thread that may block.
    pub(crate) fn wait_for_all(&self) {
        block_on_until(self.all.notified(), None)
            .expect("without a deadline it ends with the event");
    }
}
