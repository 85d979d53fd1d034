//! Figures for people as a table, for machines as lines of JSON.

use std::io::Write;

use serde_json::{Value, json};

use crate::case::{Bound, Comparison, Metric, Other, Result, Setting, Subject};
use crate::measured::{Measured, median};

/// Writes figures as they come.
pub(crate) struct Report<'a> {
    json: bool,
    out: &'a mut dyn Write,
    headed: bool,
}

/// What several rounds say about ours, alone or beside another.
pub(crate) struct Verdict<'a> {
    against: Option<&'a str>,
    ours: Option<f64>,
    theirs: Option<f64>,
    /// Ours divided by theirs in each round; our own value when nobody is beside us.
    ratios: Vec<f64>,
    bounds: &'a [Bound],
}

impl<'a> Verdict<'a> {
    pub(crate) fn alone(ours: &[f64], bounds: &'a [Bound]) -> Self {
        Self {
            against: None,
            ours: median(ours),
            theirs: None,
            ratios: ours.to_vec(),
            bounds,
        }
    }

    pub(crate) fn against(ours: &[f64], theirs: &[f64], other: &'a Other) -> Self {
        let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs);
        Self {
            against: Some(other.subject.peer),
            ours: median(ours),
            theirs: median(theirs),
            ratios: ratios.collect(),
            bounds: &other.bounds,
        }
    }
}

impl<'a> Report<'a> {
    pub(crate) fn new(json: bool, out: &'a mut dyn Write) -> Self {
        Self {
            json,
            out,
            headed: false,
        }
    }

    /// Names a comparison that was not measured.
    pub(crate) fn listed(&mut self, comparison: &Comparison) -> Result<()> {
        let (case, variant) = (comparison.case, variant(&comparison.ours.setting));
        if self.json {
            let line = json!({"case": case, "standard": comparison.standard});
            return self.line(with_setting(line, &comparison.ours.setting));
        }
        let usual = if comparison.standard {
            ""
        } else {
            "  (with --all)"
        };
        Ok(writeln!(self.out, "{case:<26}{variant}{usual}")?)
    }

    /// One run of one subject.
    pub(crate) fn measured(
        &mut self,
        case: &str,
        round: usize,
        subject: &Subject,
        measured: &Measured,
    ) -> Result<()> {
        if !self.json {
            return Ok(());
        }
        let mut line = json!({
            "peer": subject.peer,
            "case": case,
            "n": measured.events,
            "seconds": measured.took.map(|took| round_to(took.as_secs_f64(), 6)),
            "per_s": measured.per_second().map(|rate| round_to(rate, 1)),
            "p50_us": measured.percentile(50).map(|time| round_to(time, 1)),
            "p99_us": measured.percentile(99).map(|time| round_to(time, 1)),
            "lost": measured.lost,
            "dup": measured.repeated,
            "round": round,
        });
        if let Some(percent) = measured.cpu_percent {
            line["cpu_percent"] = round_to(percent, 4).into();
        }
        self.line(with_setting(line, &subject.setting))
    }

    /// What all rounds together say.
    pub(crate) fn verdict(&mut self, comparison: &Comparison, verdict: &Verdict<'_>) -> Result<()> {
        let ratio = median(&verdict.ratios);
        let holds = |bound: &Bound| ratio.is_some_and(|ratio| bound.holds(ratio));
        let setting = &comparison.ours.setting;
        if self.json {
            let bounds: Vec<Value> = verdict
                .bounds
                .iter()
                .map(|bound| json!({"bound": bound.to_string(), "ok": holds(bound)}))
                .collect();
            let line = json!({
                "peer": comparison.ours.peer,
                "case": comparison.case,
                "against": verdict.against,
                "value": verdict.ours.map(|value| round_to(value, 3)),
                "other": verdict.theirs.map(|value| round_to(value, 3)),
                "ratio": ratio.map(|ratio| round_to(ratio, 3)),
                "ratios": verdict.ratios.iter().map(|ratio| round_to(*ratio, 3)).collect::<Vec<_>>(),
                "bounds": bounds,
            });
            return self.line(with_setting(line, setting));
        }
        if !std::mem::replace(&mut self.headed, true) {
            let (case, ours, other) = ("case", "ours", "beside it");
            writeln!(
                self.out,
                "{case:<26}{:<36}{ours:>12}  {other:<32}{:>22}  bound",
                "variant", "ratio (lowest–highest)"
            )?;
        }
        let bounds: Vec<String> = verdict
            .bounds
            .iter()
            .map(|bound| format!("{bound}: {}", if holds(bound) { "ok" } else { "below" }))
            .collect();
        let other = verdict.against.map_or(String::new(), |peer| {
            format!("{peer} {}", shown(comparison.by, verdict.theirs))
        });
        let spread = match (verdict.against, ratio) {
            (Some(_), Some(ratio)) => {
                let low = verdict.ratios.iter().copied().fold(f64::INFINITY, f64::min);
                let high = verdict.ratios.iter().copied().fold(0.0, f64::max);
                format!("{ratio:.2} ({low:.2}–{high:.2})")
            }
            _ => String::new(),
        };
        writeln!(
            self.out,
            "{:<26}{:<36}{:>12}  {other:<32}{spread:>22}  {}",
            comparison.case,
            variant(setting),
            shown(comparison.by, verdict.ours),
            bounds.join(", "),
        )?;
        Ok(self.out.flush()?)
    }

    fn line(&mut self, line: Value) -> Result<()> {
        writeln!(self.out, "{line}")?;
        Ok(self.out.flush()?)
    }
}

fn with_setting(mut line: Value, setting: &Setting) -> Value {
    line["backend"] = setting.backend.into();
    line["durability"] = setting.durability_name().into();
    line["api"] = setting.api.name().into();
    line["retention"] = setting.retention.as_secs().into();
    line["payload_bytes"] = setting.payload_bytes.into();
    line
}

fn variant(setting: &Setting) -> String {
    let kept = if setting.retention.is_zero() {
        ", deleted"
    } else {
        ""
    };
    format!(
        "{}, {}, {} B{kept}",
        setting.api.name(),
        setting.durability_name(),
        setting.payload_bytes
    )
}

fn shown(by: Metric, value: Option<f64>) -> String {
    match (by, value) {
        (_, None) => "–".to_owned(),
        (Metric::PerSecond, Some(rate)) => format!("{rate:.0}/s"),
        (Metric::Median | Metric::Slow, Some(time)) => format!("{time:.1} µs"),
        (Metric::Cpu, Some(percent)) => format!("{percent:.3} %"),
    }
}

fn round_to(value: f64, digits: i32) -> f64 {
    let unit = 10_f64.powi(digits);
    (value * unit).round() / unit
}
