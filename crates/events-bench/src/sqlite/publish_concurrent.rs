//! Many callers that publish at the same time: what group commit is for.

use event_channels::Durability;

use super::file::File;
use super::publish_single;
use crate::case::{Bound, Comparison, Metric, Other, Rule, SMALL, Setting};
use crate::ours::publish_concurrent::ours;

const CASE: &str = "publish_concurrent";
const CALLERS: usize = 64;

pub(super) fn comparisons() -> Vec<Comparison> {
    let comparison = |setting: Setting| Comparison {
        case: CASE,
        by: Metric::PerSecond,
        standard: setting.payload_bytes == SMALL && setting.durability == Durability::Power,
        ours: ours::<File>(setting, CALLERS),
        bounds: Vec::new(),
        others: vec![Other {
            // One connection commits its events one by one, however many callers there are.
            subject: publish_single::raw(setting),
            bounds: match setting.durability {
                Durability::Power => vec![Bound::floor(Rule::AtLeast(8.0))],
                Durability::Process => Vec::new(),
            },
        }],
    };
    Setting::publishing().map(comparison).collect()
}
