//! Measures in rounds, so that what disturbs the machine disturbs every subject alike.

use std::io::Write;

use crate::args::Args;
use crate::case::{Comparison, Effort, Result, Subject};
use crate::measured::Measured;
use crate::report::{Report, Verdict};

/// Measures what was asked for. Fails when a subject cannot be measured, or an event was lost or
/// repeated; a ratio below its bound is shown and is no failure.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> Result<()> {
    let mut wanted: Vec<Comparison> = args.backend.comparisons();
    wanted.retain(|comparison| args.wants(comparison));
    if wanted.is_empty() {
        return Err("no case of that name and variant; --list names them".into());
    }
    let effort = args.effort();
    let mut report = Report::new(args.json, out);
    for comparison in wanted {
        if args.list {
            report.listed(&comparison)?;
        } else {
            measure(comparison, args.rounds, &effort, &mut report)?;
        }
    }
    Ok(())
}

fn measure(
    mut comparison: Comparison,
    rounds: usize,
    effort: &Effort,
    report: &mut Report<'_>,
) -> Result<()> {
    let case = comparison.case;
    let mut ours = Vec::new();
    let mut others = vec![Vec::new(); comparison.others.len()];
    for round in 0..rounds {
        ours.push(once(case, round, &mut comparison.ours, effort, report)?);
        for (other, runs) in comparison.others.iter_mut().zip(&mut others) {
            runs.push(once(case, round, &mut other.subject, effort, report)?);
        }
    }
    let value = |runs: &[Measured]| -> Vec<f64> {
        let by = comparison.by;
        runs.iter().filter_map(|run| by.of(run)).collect()
    };
    let own = value(&ours);
    if others.is_empty() {
        report.verdict(&comparison, &Verdict::alone(&own, &comparison.bounds))?;
    }
    for (other, runs) in comparison.others.iter().zip(&others) {
        let verdict = Verdict::against(&own, &value(runs), other);
        report.verdict(&comparison, &verdict)?;
    }
    Ok(())
}

fn once(
    case: &str,
    round: usize,
    subject: &mut Subject,
    effort: &Effort,
    report: &mut Report<'_>,
) -> Result<Measured> {
    let measured =
        (subject.measure)(effort).map_err(|error| format!("{case}, {}: {error}", subject.peer))?;
    report.measured(case, round, subject, &measured)?;
    if measured.lost > 0 || measured.repeated > 0 {
        return Err(format!(
            "{case}, {}: {} events were lost and {} repeated",
            subject.peer, measured.lost, measured.repeated
        )
        .into());
    }
    Ok(measured)
}
