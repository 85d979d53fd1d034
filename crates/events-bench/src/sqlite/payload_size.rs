//! What a payload of 8 kB costs beside one of 110 bytes.

use event_channels::Durability;

use super::file::File;
use crate::case::{Api, Bound, Comparison, Metric, Other, Rule, SMALL, Setting, Subject};
use crate::ours::{drain, publish_batch, publish_single};

const LARGE: usize = 8192;
/// Two and a half times the cost.
const GOAL: f64 = 1.0 / 2.5;

type Case = (&'static str, fn(Setting) -> Subject);

pub(super) fn comparisons() -> Vec<Comparison> {
    let cases: [Case; 3] = [
        ("cost_8k_publish_single", publish_single::ours::<File>),
        ("cost_8k_publish_batch100", publish_batch::ours::<File>),
        ("cost_8k_drain_1consumer", |setting| {
            drain::ours::<File>(setting, 1)
        }),
    ];
    let comparison = |(case, subject): Case, durability| {
        let setting = |payload_bytes| Setting {
            api: Api::Blocking,
            durability,
            payload_bytes,
            ..Setting::default()
        };
        Comparison {
            case,
            by: Metric::PerSecond,
            standard: durability == Durability::Power,
            ours: subject(setting(LARGE)),
            bounds: Vec::new(),
            others: vec![Other {
                subject: Subject {
                    peer: "110 B",
                    ..subject(setting(SMALL))
                },
                bounds: vec![Bound::goal(Rule::AtLeast(GOAL))],
            }],
        }
    };
    cases
        .into_iter()
        .flat_map(|case| [Durability::Power, Durability::Process].map(|it| comparison(case, it)))
        .collect()
}
