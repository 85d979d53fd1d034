//! Durations as people write them.

use std::time::Duration;

use events_core::{Error, Result};

/// Reads a number of seconds, or a number with a unit: `250ms`, `5s`, `2m`, `1.5h`, `7d`.
///
/// # Errors
/// `InvalidConfig` that shows the text and the accepted forms.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => f64::NAN,
    };
    let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds = number
        .parse::<f64>()
        .ok()
        .filter(|_| plain)
        .map(|n| n * seconds);
    seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).ok_or_else(|| {
        Error::invalid_config(format!(
            "duration {text:?} is not understood; write seconds, or a number with ms, s, m, h or d, such as \"250ms\""
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, millis) in [
            ("5", 5000),
            ("0", 0),
            ("0.25", 250),
            ("250ms", 250),
            ("2m", 120_000),
            ("1.5h", 5_400_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(
                parse_duration(text).unwrap(),
                Duration::from_millis(millis),
                "{text}"
            );
        }
        for bad in [
            "",
            "s",
            "-1",
            "1 s",
            "5 minutes",
            "1e3",
            "inf",
            "nan",
            "1w",
            "99999999999999999999",
        ] {
            assert!(
                parse_duration(bad)
                    .unwrap_err()
                    .to_string()
                    .contains("250ms"),
                "{bad}"
            );
        }
    }
}
