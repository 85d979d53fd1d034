//! Listeners: a handler that is run for each event of a channel.
//!
//! - `task` drives an async listener: it reads, runs handlers and sends verdicts.
//! - `handling` judges what a handler did; the async and the blocking listener share it.
//! - `verdicts` batches what is to be recorded, and retries it.
//! - `renewal` keeps leases alive while handlers run.

mod error;
mod handle;
mod handling;
mod hands;
mod options;
mod renewal;
mod source;
mod task;
mod verdicts;

pub use error::{HandlerError, HandlerResult};
pub use handle::{Listener, ListenerId};
pub use options::ListenOptions;
pub(crate) use task::start;

#[cfg(feature = "blocking")]
pub(crate) use handling::{Handling, Outcome, panic_text};
#[cfg(feature = "blocking")]
pub(crate) use source::{Pause, ended, longest_pause};
#[cfg(feature = "blocking")]
pub(crate) use verdicts::Verdicts;
