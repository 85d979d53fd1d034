//! What a process costs that listens while nothing happens.

use super::file::File;
use crate::case::{Api, Bound, Comparison, Metric, Rule, Setting};
use crate::ours::idle::ours;

pub(super) fn comparisons() -> Vec<Comparison> {
    [Api::Blocking, Api::Async]
        .map(|api| Comparison {
            case: "idle",
            by: Metric::Cpu,
            standard: true,
            ours: ours::<File>(Setting {
                api,
                ..Setting::default()
            }),
            bounds: vec![Bound::floor(Rule::AtMost(0.2))],
            others: Vec::new(),
        })
        .into()
}
