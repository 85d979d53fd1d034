//! `cargo xtask ci`: what CI runs, in its order, stopping at the first failure.

use std::time::Instant;

use crate::flags::TestOptions;
use crate::sh::{self, Result};
use crate::{docs, test, tidy};

/// The version that `--install` brings; newer ones may know new checks.
const DENY_VERSION: &str = "0.20.2";

/// The backend features of the umbrella crate, each with the driver it brings.
const BACKENDS: &[(&str, &str)] = &[
    ("queue-sqlite", "rusqlite"),
    ("queue-pg", "tokio-postgres"),
    ("pg-native", "tokio-postgres"),
    ("queue-oracle", "oracle"),
    ("oracle-aq", "oracle"),
];

/// Every database driver of the workspace: a feature brings its own and no other.
const DRIVERS: &[&str] = &["rusqlite", "tokio-postgres", "oracle"];

type Step<'a> = (&'static str, &'a dyn Fn() -> Result<()>);

/// Runs the steps.
pub(crate) fn run(install: bool) -> Result<()> {
    let deny = || deny(install);
    let test = || {
        println!(
            "$ cargo xtask test{}",
            if install { " --install" } else { "" }
        );
        test::run(&TestOptions {
            install,
            ..TestOptions::default()
        })
    };
    let steps: &[Step<'_>] = &[
        ("format", &|| {
            sh::run(&mut sh::cargo_at_root("fmt --all -- --check"))
        }),
        ("tidy", &tidy::run),
        ("clippy", &clippy),
        ("features", &features),
        ("docs", &|| docs::run(true)),
        ("deny", &deny),
        ("test", &test),
    ];
    let begun = Instant::now();
    for (name, step) in steps {
        println!("\n=== {name}");
        let begun = Instant::now();
        let done = step();
        let seconds = begun.elapsed().as_secs_f64();
        match done {
            Ok(()) => println!("=== {name}: ok, {seconds:.1} s"),
            Err(error) => {
                println!("=== {name}: FAILED, {seconds:.1} s");
                return Err(format!("{name}: {error}").into());
            }
        }
    }
    println!(
        "\n=== all steps passed, {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

fn clippy() -> Result<()> {
    let line = "clippy --workspace --all-targets --all-features -- -D warnings";
    sh::run(&mut sh::cargo_at_root(line))
}

/// Each feature builds alone, and a backend does not bring the driver of another.
fn features() -> Result<()> {
    let umbrella = "--package event-channels --no-default-features";
    sh::run(&mut sh::cargo_at_root(&format!("check {umbrella}")))?;
    sh::run(&mut sh::cargo_at_root(&format!(
        "check {umbrella} --features blocking"
    )))?;
    for (feature, own) in BACKENDS {
        let umbrella = format!("{umbrella} --features {feature}");
        sh::run(&mut sh::cargo_at_root(&format!("check {umbrella}")))?;
        let line = format!("tree {umbrella} --edges normal --prefix none --format {{p}}");
        println!("$ cargo {line}");
        let tree = sh::output(&mut sh::cargo_at_root(&line))?;
        let foreign = foreign_drivers(&tree, own);
        if !foreign.is_empty() {
            let foreign = foreign.join(", ");
            return Err(
                format!("feature `{feature}` brings the driver of another: {foreign}").into(),
            );
        }
    }
    Ok(())
}

/// The drivers in the output of `cargo tree` that are not `own`.
fn foreign_drivers(tree: &str, own: &str) -> Vec<&'static str> {
    let listed = |driver: &str| {
        tree.lines()
            .any(|line| line.split_whitespace().next() == Some(driver))
    };
    DRIVERS
        .iter()
        .copied()
        .filter(|driver| *driver != own && listed(driver))
        .collect()
}

fn deny(install: bool) -> Result<()> {
    if !sh::succeeds(&mut sh::cargo_at_root("deny --version")) {
        if !install {
            let line = format!("cargo install cargo-deny --version {DENY_VERSION} --locked");
            return Err(format!("cargo-deny not found; run with --install, or: {line}").into());
        }
        let line = format!("install cargo-deny --version {DENY_VERSION} --locked");
        sh::run(&mut sh::cargo_at_root(&line))?;
    }
    sh::run(&mut sh::cargo_at_root("deny check bans licenses sources"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_driver_is_found_by_its_whole_name() {
        let tree = "event-channels v0.1.0\nrusqlite v0.43.0\noracle-sys v0.1.0\n";
        assert!(foreign_drivers(tree, "rusqlite").is_empty());
        let tree = format!("{tree}tokio-postgres v0.7.0\n");
        assert_eq!(foreign_drivers(&tree, "rusqlite"), ["tokio-postgres"]);
    }
}
