//! Which of our crates may use which, and what the contract may not use at all.
//!
//! Development dependencies are free: an example or a test of a crate may use what users of that
//! crate use.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Finding;
use crate::sh::{self, Result};

const BACKEND: &[&str] = &["events-queue", "events-core", "events-migrations"];

const ORACLE_BACKEND: &[&str] = &[
    "events-oracle-session",
    "events-queue",
    "events-core",
    "events-migrations",
];

const ABOVE_UMBRELLA: &[&str] = &["event-channels", "events-core", "events-migrations"];

/// Each crate with what it may use; one that is not here is a finding.
const ALLOWED: &[(&str, &[&str])] = &[
    ("events-core", &[]),
    ("events-queue", &["events-core"]),
    ("events-migrations", &["events-core"]),
    ("events-queue-sqlite", BACKEND),
    ("events-pg-native", BACKEND),
    (
        "events-queue-pg",
        &[
            "events-pg-native",
            "events-queue",
            "events-core",
            "events-migrations",
        ],
    ),
    // A C library in place of Oracle's: it knows nothing of ours.
    ("events-oracle-standin", &[]),
    ("events-oracle-aq", ORACLE_BACKEND),
    ("events-queue-oracle", ORACLE_BACKEND),
    ("events-oracle-session", &["events-core"]),
    (
        "event-channels",
        &[
            "events-queue-sqlite",
            "events-pg-native",
            "events-queue-pg",
            "events-oracle-aq",
            "events-queue-oracle",
            "events-queue",
            "events-core",
            "events-migrations",
        ],
    ),
    ("events-cli", ABOVE_UMBRELLA),
    // Throwaway servers come from the testkit.
    (
        "events-bench",
        &[
            "event-channels",
            "events-core",
            "events-migrations",
            "events-testkit",
        ],
    ),
    (
        "events-testkit",
        &[
            "event-channels",
            "events-oracle-session",
            "events-oracle-standin",
            "events-queue",
            "events-core",
            "events-migrations",
        ],
    ),
    ("xtask", &[]),
];

/// May use everything: it tests everything.
const FREE: &str = "events-tests";

/// The contract, which backend authors compile and nothing else.
const CONTRACT: &str = "events-core";

/// Runtimes and drivers; the contract uses none of them.
const RUNTIMES_AND_DRIVERS: &[&str] = &[
    "tokio",
    "rusqlite",
    "libsqlite3-sys",
    "tokio-postgres",
    "deadpool-postgres",
    "oracle",
];

/// What cargo says of the packages of this workspace.
pub(super) fn metadata() -> Result<Value> {
    let line = "metadata --no-deps --format-version 1";
    Ok(serde_json::from_str(&sh::output(&mut sh::cargo_at_root(
        line,
    ))?)?)
}

/// Checks every package of the workspace.
pub(super) fn check(metadata: &Value, root: &Path) -> Result<Vec<Finding>> {
    let packages = metadata["packages"]
        .as_array()
        .ok_or("cargo metadata names no packages")?;
    let ours: Vec<&str> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    let mut findings = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let text = fs::read_to_string(manifest).unwrap_or_default();
        let path = manifest
            .strip_prefix(root)
            .unwrap_or(manifest)
            .to_string_lossy();
        for (used, message) in broken(name, &used_by(package), &ours) {
            findings.push(Finding::new(&path, line_of(&text, &used), message));
        }
    }
    Ok(findings)
}

/// The names of what a package uses, development dependencies left out.
fn used_by(package: &Value) -> Vec<&str> {
    let dependencies = package["dependencies"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    dependencies
        .iter()
        .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
        .filter_map(|dependency| dependency["name"].as_str())
        .collect()
}

/// The rules that `name` breaks by using `used`: the offending name, what and why.
fn broken(name: &str, used: &[&str], ours: &[&str]) -> Vec<(String, String)> {
    let mut broken = Vec::new();
    if name == CONTRACT {
        for driver in used
            .iter()
            .filter(|used| RUNTIMES_AND_DRIVERS.contains(used))
        {
            let why = "the contract knows no runtime and no driver";
            broken.push(((*driver).to_owned(), format!("{name} uses {driver}, {why}")));
        }
    }
    if name == FREE {
        return broken;
    }
    let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
        let message = format!("{name} is not in the table in xtask/src/tidy/edges.rs, add it");
        broken.push((name.to_owned(), message));
        return broken;
    };
    for other in used
        .iter()
        .filter(|used| ours.contains(used) && !allowed.contains(used))
    {
        let may = if allowed.is_empty() {
            "none of our crates".into()
        } else {
            allowed.join(", ")
        };
        let message = format!("{name} uses {other}, but its layer may use only: {may}");
        broken.push(((*other).to_owned(), message));
    }
    broken
}

/// The line of a manifest that names a package first; 1 if none does.
fn line_of(manifest: &str, name: &str) -> usize {
    let names_it = |line: &str| {
        let rest = line.trim_start().strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    manifest
        .lines()
        .position(names_it)
        .map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OURS: &[&str] = &[
        "events-core",
        "events-queue",
        "events-pg-native",
        "events-queue-pg",
        "events-queue-sqlite",
        "events-tests",
        "xtask",
    ];

    fn messages(name: &str, used: &[&str]) -> Vec<String> {
        broken(name, used, OURS)
            .into_iter()
            .map(|(_, message)| message)
            .collect()
    }

    #[test]
    fn arrows_point_down_only() {
        assert!(messages("events-queue-sqlite", &["events-queue", "rusqlite"]).is_empty());
        assert!(messages("events-queue-pg", &["events-pg-native"]).is_empty());
        assert!(messages("events-tests", OURS).is_empty());
        assert_eq!(
            messages("events-queue", &["events-queue-sqlite"]),
            ["events-queue uses events-queue-sqlite, but its layer may use only: events-core"]
        );
        assert_eq!(
            messages("events-queue-sqlite", &["events-pg-native"]).len(),
            1
        );
        assert_eq!(messages("xtask", &["events-core", "sha2"]).len(), 1);
    }

    #[test]
    fn the_contract_uses_no_runtime() {
        assert!(messages("events-core", &["serde", "uuid"]).is_empty());
        assert_eq!(
            messages("events-core", &["tokio"]),
            ["events-core uses tokio, the contract knows no runtime and no driver"]
        );
    }

    #[test]
    fn a_new_crate_must_be_placed() {
        assert_eq!(messages("events-new", &[]).len(), 1);
    }

    #[test]
    fn development_dependencies_are_free() {
        let package = json!({"dependencies": [
            {"name": "events-testkit", "kind": "dev"},
            {"name": "events-core", "kind": null},
            {"name": "cc", "kind": "build"},
        ]});
        assert_eq!(used_by(&package), ["events-core", "cc"]);
    }

    #[test]
    fn the_line_is_that_of_the_whole_name() {
        let manifest = "[dependencies]\nevents-queue-sqlite.workspace = true\nevents-queue = {}\n";
        assert_eq!(line_of(manifest, "events-queue"), 3);
        assert_eq!(line_of(manifest, "events-queue-sqlite"), 2);
        assert_eq!(line_of(manifest, "tokio"), 1);
    }
}
