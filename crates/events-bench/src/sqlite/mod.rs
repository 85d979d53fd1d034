//! The suite `sqlite`: one file for each case, and what they share.

mod backlog;
mod drain;
mod drain_processes;
mod drain_strict;
mod file;
mod hop;
mod idle;
mod latency;
mod latency_processes;
mod payload_size;
mod publish_batch;
mod publish_concurrent;
mod publish_single;
mod raw;

use crate::case::Comparison;

/// Every case with its variants, in the order in which they are measured.
pub(crate) fn comparisons() -> Vec<Comparison> {
    [
        publish_single::comparisons(),
        publish_concurrent::comparisons(),
        publish_batch::comparisons(),
        drain::comparisons(),
        drain_processes::comparisons(),
        drain_strict::comparisons(),
        payload_size::comparisons(),
        latency::comparisons(),
        latency_processes::comparisons(),
        backlog::comparisons(),
        idle::comparisons(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
