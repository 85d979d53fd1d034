//! The handle of a running listener.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use events_core::{ChannelName, Error, EventId, Result};

use crate::drained::Drained;
use crate::listener_registry::Control;

/// The identity of a listener, shown as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(EventId);

impl ListenerId {
    pub(crate) fn new() -> Self {
        Self(EventId::new())
    }
}

impl FromStr for ListenerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let listen = |error: Error| error.during(events_core::Op::Listen);
        EventId::parse(text).map(Self).map_err(listen)
    }
}

impl fmt::Display for ListenerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ListenerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListenerId({self})")
    }
}

/// A running listener.
///
/// Dropping the handle does not stop it: it belongs to its channel, and runs until it is stopped,
/// or the channel is shut down or dropped.
#[derive(Debug, Clone)]
pub struct Listener {
    control: Arc<Control>,
}

impl Listener {
    pub(crate) fn new(control: Arc<Control>) -> Self {
        Self { control }
    }

    /// Its identity, for `stop_listener`.
    #[must_use]
    pub fn id(&self) -> ListenerId {
        self.control.id
    }

    /// The channel that it listens to.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.control.channel
    }

    /// Whether it has not ended yet. One that was asked to stop runs until its handlers are done.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.control.done.is_closed()
    }

    /// Stops it: no further event is taken, and handlers may finish until the drain deadline of
    /// the configuration (30 s by default). Those that have not are dropped, and their events are
    /// given back without counting an attempt. Resolves when all verdicts are recorded.
    ///
    /// Called from inside its own handler it only asks, and resolves at once: waiting for itself
    /// would never end. (A task that the handler has spawned and waits for is not recognised; it
    /// waits until the drain deadline.) Dropping the future does not take the request back.
    pub async fn stop(&self) -> Drained {
        self.control.stop_and_wait().await
    }

    /// Resolves when it has ended, without asking it to.
    pub async fn ended(&self) {
        self.control.done.closed().await;
    }
}
