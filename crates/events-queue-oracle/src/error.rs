//! The name under which errors are reported; what Oracle's codes mean is in `events-oracle-session`.

/// The canonical name of this backend.
pub(crate) const BACKEND: &str = "poll_queue";
