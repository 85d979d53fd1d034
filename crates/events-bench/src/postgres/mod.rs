//! The suite `postgres`: the queue on a throwaway server with durable settings.

mod backlog;
mod beside;
mod drain;
mod latency;
mod place;
mod publish;
mod raw;
mod rivals;

use crate::case::{Comparison, Setting};

/// What the suite's payloads take.
const BYTES: usize = 200;

/// The queue that is polled, and the one whose consumers are woken.
const POLLED: &str = "poll_queue";
const WOKEN: &str = "notify_queue";

/// The usual setting of a backend.
fn setting(backend: &'static str) -> Setting {
    Setting {
        backend,
        payload_bytes: BYTES,
        ..Setting::default()
    }
}

/// Every case with its variants, in the order in which they are measured.
pub(crate) fn comparisons() -> Vec<Comparison> {
    [
        publish::comparisons(),
        drain::comparisons(),
        latency::comparisons(),
        backlog::comparisons(),
        rivals::comparisons(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
