//! The report of a drain.

use serde::Serialize;

/// What stopping listeners came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Drained {
    /// Listeners stopped.
    pub listeners: u64,
    /// Handlers that finished after they were asked to.
    pub finished: u64,
    /// Events whose handlers did not finish before the deadline; they were given back.
    pub released: u64,
}
