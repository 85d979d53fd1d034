//! Lengths of time as people write them.

use std::time::Duration;

/// The rule, for error messages.
pub(crate) const RULE: &str =
    "a length of time is a number of seconds or text like \"250ms\", \"5s\", \"2m\", \"1h\", \"1d\"";

const UNITS: &[(&str, f64)] = &[
    ("ms", 0.001),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
];

/// Reads `5s`, `250ms`, `2m`, `1h`, `1d`, `1.5h`, or a plain number of seconds.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let unit = unit.trim_start();
    let seconds = match unit {
        "" => 1.0,
        unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    from_seconds(number * seconds)
}

/// A number of seconds, unless it is negative, no number, or too large.
pub(crate) fn from_seconds(seconds: f64) -> Option<Duration> {
    // A float holds 0.1 s only nearly; rounding to nanoseconds hides that.
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_units() {
        for (text, millis) in [
            ("5s", 5_000),
            ("250ms", 250),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("1.5h", 5_400_000),
            ("0.1", 100),
            ("30", 30_000),
            (" 5 s ", 5_000),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["", "s", "-1s", "-1", "5 weeks", "5S", "1e3", "1..5s", "nan", "inf", "5s5"] {
            assert_eq!(parse(text), None, "{text}");
        }
        for seconds in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(from_seconds(seconds), None, "{seconds}");
        }
    }
}
