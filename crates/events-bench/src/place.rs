//! Where a measurement runs, and what it can ask for there.

use event_channels::EventsConfig;

use crate::case::{Effort, Result, Setting};
use crate::measured::Tally;

/// The channel of every measurement.
pub(crate) const CHANNEL: &str = "bench";

/// Where channels can be opened; gone when this is dropped.
pub(crate) trait Place: Sized + 'static {
    /// Makes it.
    fn make(effort: &Effort) -> Result<Self>;

    /// The database as another process reaches it.
    fn url(&self) -> String;

    /// Options beside the URL that another process needs to reach the same tables, as lines of a
    /// configuration file.
    fn options(&self) -> String {
        String::new()
    }

    /// What the library is opened with.
    fn config(&self, setting: &Setting) -> Result<EventsConfig>;
}

/// Where somebody counts what is published.
pub(crate) trait Counting: Place {
    /// Counts what was published by the number in each payload.
    fn published(&self, events: usize) -> Result<Tally>;
}

/// Tables made by our migration, with the default group of [`CHANNEL`] registered.
pub(crate) trait Tables: Counting {
    /// Stores numbered events, ready to be claimed.
    fn fill(&self, events: usize, payload_bytes: usize) -> Result<()>;

    /// Fails unless every event was acknowledged.
    fn check_all_acked(&self) -> Result<()>;

    /// Looks every two milliseconds whether an event is left that nobody has acknowledged.
    fn wait_until_acked(&self) -> Result<()>;
}
