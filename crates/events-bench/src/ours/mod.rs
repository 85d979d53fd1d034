//! The library as an application uses it, whatever database lies below: one file for each way of
//! using it. The suites set these beside what their database does without the library.

pub(crate) mod drain;
pub(crate) mod drain_processes;
pub(crate) mod drain_strict;
pub(crate) mod handled;
pub(crate) mod idle;
pub(crate) mod latency;
pub(crate) mod latency_processes;
pub(crate) mod publish_batch;
pub(crate) mod publish_concurrent;
pub(crate) mod publish_single;
