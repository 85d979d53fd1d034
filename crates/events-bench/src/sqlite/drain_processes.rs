//! Handling what is stored already, with a listener in each of four processes.

use super::file::File;
use crate::case::{Api, Comparison, Metric, Other, SMALL, Setting, Subject};
use crate::ours::{drain, drain_processes};

const CASE: &str = "drain_4process";
const PROCESSES: usize = 4;

pub(super) fn comparisons() -> Vec<Comparison> {
    let comparison = |api| {
        let setting = Setting {
            api,
            ..Setting::default()
        };
        Comparison {
            case: CASE,
            by: Metric::PerSecond,
            standard: setting.payload_bytes == SMALL,
            ours: drain_processes::ours::<File>(setting, PROCESSES),
            bounds: Vec::new(),
            others: vec![Other {
                subject: Subject {
                    peer: "one consumer",
                    ..drain::ours::<File>(setting, 1)
                },
                bounds: Vec::new(),
            }],
        }
    };
    [Api::Blocking, Api::Async].map(comparison).into()
}
