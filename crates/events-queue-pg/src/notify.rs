//! Wakes by NOTIFY: who is told of what, and how far that can be relied on.
//!
//! NOTIFY makes the commits of a whole server wait for each other, so nobody publishes and notifies
//! in one transaction unless somebody waits. Consumers that wait say so in a table; after its
//! commit a publisher notifies those of other processes, all queues together and a few hundred
//! times a second at most. A notification is a hint: it says which queue to look at, and from which
//! id on.
//!
//! - `herald`: sends, after commits.
//! - `waiters`: says that we wait, and when to look again in case somebody had not seen that yet.
//! - `ear`: listens, and proves that what is sent arrives.

mod ear;
mod herald;
mod waiters;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use events_core::{ChannelName, Closer};
use uuid::Uuid;

pub(crate) use self::ear::Ear;
use self::herald::Herald;
use self::waiters::Waiters;
pub(crate) use self::waiters::{LASTS, Waiting};
use crate::tasks::Tasks;

/// What a store has beyond its tables when consumers are woken by NOTIFY.
#[derive(Debug)]
pub(crate) struct Notify {
    /// The channel of the table.
    pub(crate) channel: ChannelName,
    /// This store, among those that wait.
    pub(crate) me: Uuid,
    pub(crate) herald: Arc<Herald>,
    pub(crate) waiters: Waiters,
    /// Closed when the store is.
    pub(crate) closer: Closer,
    /// What is sent arrives.
    proven: AtomicBool,
}

impl Notify {
    pub(crate) fn new(channel: ChannelName, tasks: Arc<Tasks>) -> Self {
        Self {
            channel,
            me: Uuid::from_bytes(*events_core::EventId::new().as_bytes()),
            herald: Arc::new(Herald::new(tasks)),
            waiters: Waiters::default(),
            closer: Closer::new(),
            proven: AtomicBool::new(false),
        }
    }

    /// Whether what is sent arrives.
    pub(crate) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Acquire)
    }

    /// Answers what was known before.
    fn set_proven(&self, proven: bool) -> bool {
        self.proven.swap(proven, Ordering::AcqRel)
    }
}

/// A notification's text: which queue to look at, and from which id on.
pub(crate) fn hint(text: &str) -> Option<(i64, Option<i64>)> {
    let (queue_id, lowest) = text.split_once(':')?;
    let lowest = match lowest {
        "" => None,
        id => Some(id.parse().ok().filter(|id| *id > 0)?),
    };
    Some((queue_id.parse().ok()?, lowest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_read_and_what_is_none_is_not() {
        assert_eq!(hint("7:123"), Some((7, Some(123))));
        assert_eq!(hint("7:"), Some((7, None)));
        for foreign in ["", "7", "7:x", "x:1", "?a", "7:0", "7:-9223372036854775808"] {
            assert_eq!(hint(foreign), None, "{foreign}");
        }
    }
}
