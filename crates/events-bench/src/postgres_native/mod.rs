//! The suite `postgres-native`: notifications beside a bare LISTEN and NOTIFY.

mod bare;
mod database;
mod latency;
mod publish;
mod receive;

use crate::case::{Api, Comparison, Setting};

/// Every case with its variants, in the order in which they are measured.
pub(crate) fn comparisons() -> Vec<Comparison> {
    [
        publish::comparisons(),
        receive::comparisons(),
        latency::comparisons(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Async and blocking. Nothing is stored, so nothing is flushed or kept, and the payload is small.
fn settings() -> impl Iterator<Item = Setting> {
    [Api::Async, Api::Blocking].into_iter().map(|api| Setting {
        api,
        backend: "notify",
        ..Setting::default()
    })
}
