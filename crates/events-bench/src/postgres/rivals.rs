//! Rivals that publish or drain as many events of the same size on the same server, beside ours.
//!
//! They stand outside the workspace, in `peers/postgres`; `--rivals` names the folder of their
//! programs.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::place::Database;
use super::{POLLED, setting};
use crate::case::{Bound, Comparison, Metric, Other, Rule, Setting, Subject};
use crate::measured::Measured;
use crate::ours::{drain, publish_batch, publish_single};
use crate::place::Place as _;

pub(super) fn comparisons() -> Vec<Comparison> {
    let deleted = Setting {
        retention: Duration::ZERO,
        ..setting(POLLED)
    };
    let other = |peer, program, floor, goal| Other {
        subject: rival(peer, program, None, deleted),
        bounds: vec![
            Bound::floor(Rule::AtLeast(floor)),
            Bound::goal(Rule::AtLeast(goal)),
        ],
    };
    let rivals = Comparison {
        case: "drain_rivals",
        by: Metric::PerSecond,
        standard: false,
        ours: drain::ours::<Database>(deleted, 1),
        bounds: Vec::new(),
        others: vec![
            other("graphile_worker", "peer-graphile", 1.8, 2.5),
            other("pgmq", "peer-pgmq", 1.5, 2.0),
        ],
    };
    let sqlspec = [
        (
            "publish_single_sqlspec",
            "single",
            publish_single::ours::<Database>(deleted),
        ),
        (
            "publish_batch100_sqlspec",
            "batch",
            publish_batch::ours::<Database>(deleted),
        ),
        (
            "drain_sqlspec",
            "drain",
            drain::ours::<Database>(deleted, 1),
        ),
    ];
    let sqlspec = sqlspec.map(|(case, does, ours)| Comparison {
        case,
        by: Metric::PerSecond,
        standard: false,
        ours,
        bounds: Vec::new(),
        others: vec![Other {
            subject: rival("SQLSpec", "peer-sqlspec", Some(does), deleted),
            bounds: Vec::new(),
        }],
    });
    std::iter::once(rivals).chain(sqlspec).collect()
}

/// One that does several things is told which.
fn rival(
    peer: &'static str,
    program: &'static str,
    does: Option<&'static str>,
    setting: Setting,
) -> Subject {
    Subject {
        peer,
        setting,
        measure: Box::new(move |effort| {
            let folder = effort
                .rivals
                .as_ref()
                .ok_or("--rivals names the folder of the rivals' programs; see peers/README.md")?;
            let place = Database::make(effort)?;
            let events = match does {
                Some("single") => publish_single::events(&setting, effort),
                Some("batch") => publish_batch::events(&setting, effort),
                _ => drain::events(&setting, effort),
            };
            let output = Command::new(folder.join(program))
                .args([place.url(), events.to_string()])
                .args(does)
                .output()?;
            let line: Value = serde_json::from_slice(&output.stdout).map_err(|error| {
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                format!("{program} printed no figures: {error}: {text}")
            })?;
            let seconds = line["seconds"].as_f64().ok_or("a line without seconds")?;
            let count = |key: &str| line[key].as_u64().and_then(|n| usize::try_from(n).ok());
            Ok(Measured {
                lost: count("lost").ok_or("a line without lost")?,
                repeated: count("dup").ok_or("a line without dup")?,
                ..Measured::of(events, Duration::try_from_secs_f64(seconds)?)
            })
        }),
    }
}
