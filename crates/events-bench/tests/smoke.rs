//! Every case runs, in every variant, with next to nothing to do; figures are not looked at.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

#[test]
fn every_case_and_variant_runs_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let quick = "--all --json --rounds 1 --scale 0.002 --latency-time 40ms --idle-time 50ms";
    let lines = bench(quick, folder.path());
    let named = bench("--all --json --list", folder.path());
    let variant = |line: &Value| {
        let keys = ["case", "api", "durability", "retention", "payload_bytes"];
        keys.map(|key| line[key].to_string()).join(" ")
    };
    let (verdicts, runs): (Vec<Value>, Vec<Value>) = lines
        .into_iter()
        .partition(|line| line.get("ratio").is_some());
    let measured: BTreeSet<String> = runs
        .iter()
        .filter(|run| run["peer"] == "event-channels")
        .map(variant)
        .collect();
    let judged: BTreeSet<String> = verdicts.iter().map(variant).collect();
    let named: BTreeSet<String> = named.iter().map(variant).collect();
    assert!(named.len() > 50, "{named:?}");
    assert_eq!(measured, named);
    assert_eq!(judged, named);
    for run in &runs {
        assert_eq!((&run["lost"], &run["dup"]), (&0.into(), &0.into()), "{run}");
        let values = ["per_s", "p50_us", "cpu_percent"];
        assert!(values.iter().any(|key| run[key].is_number()), "{run}");
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "database files were left behind");
}

#[test]
fn every_usual_case_on_postgres_runs_and_loses_nothing() {
    usual_cases("postgres", 10);
}

#[test]
fn every_case_of_notifications_runs_and_loses_nothing() {
    usual_cases("postgres-native", 9);
}

/// Runs a suite on PostgreSQL that has more than `least` usual variants.
fn usual_cases(suite: &str, least: usize) {
    if let Err(missing) = events_testkit::postgres::database() {
        return missing.skip(&format!("usual cases of {suite}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let quick = "--json --rounds 1 --scale 0.002 --latency-time 100ms";
    let lines = bench(&format!("--backend {suite} {quick}"), folder.path());
    let (verdicts, runs): (Vec<Value>, Vec<Value>) = lines
        .into_iter()
        .partition(|line| line.get("ratio").is_some());
    let named = bench(&format!("--backend {suite} --json --list"), folder.path());
    let named = named.iter().filter(|line| line["standard"] == true).count();
    assert!(named > least, "{named}");
    assert!(verdicts.len() >= named, "{verdicts:?}");
    for run in &runs {
        assert_eq!((&run["lost"], &run["dup"]), (&0.into(), &0.into()), "{run}");
    }
}

#[test]
fn an_unknown_case_is_an_error_that_names_the_way_out() {
    let output = Command::new(env!("CARGO_BIN_EXE_events-bench"))
        .args(["--case", "publsh"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("--list"), "{text}");
}

fn bench(arguments: &str, folder: &std::path::Path) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_events-bench"))
        .args(arguments.split_whitespace())
        .arg("--dir")
        .arg(folder)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
