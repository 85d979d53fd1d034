//! The trace in which an event was published, as W3C Trace Context writes it.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Op, Result};

/// The key under which it travels in metadata.
pub(crate) const KEY: &str = "traceparent";

/// A trace and the span in it that published an event: `00-<trace>-<span>-<flags>`.
///
/// It travels in the metadata of an event under the key `traceparent`. Metadata is what some
/// publisher wrote, so it is read strictly: version 00, 55 bytes, lower-case digits, no id of
/// zeros. Anything else counts as absent.
///
/// ```
/// use events_core::{PublishOptions, TraceParent};
///
/// let here: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// assert!(here.is_sampled());
/// let options = PublishOptions::new().traceparent(here);
/// # Ok::<(), events_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceParent {
    /// The context of a span.
    ///
    /// # Errors
    /// `InvalidInput` for an id of zero, which means none.
    pub fn new(trace_id: u128, span_id: u64, sampled: bool) -> Result<Self> {
        let made = Self {
            trace_id,
            span_id,
            flags: u8::from(sampled),
        };
        if trace_id == 0 || span_id == 0 {
            return Err(refused(&made.to_string()));
        }
        Ok(made)
    }

    /// The trace.
    #[must_use]
    pub const fn trace_id(self) -> u128 {
        self.trace_id
    }

    /// The span that published the event.
    #[must_use]
    pub const fn span_id(self) -> u64 {
        self.span_id
    }

    /// Whether the publisher recorded it.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.flags & 1 == 1
    }

    fn read(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let dashes = bytes.len() == 55 && [2, 35, 52].iter().all(|at| bytes[*at] == b'-');
        let digits = || {
            let digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-');
            bytes.iter().all(digit) && bytes.iter().filter(|b| **b == b'-').count() == 3
        };
        if !dashes || !digits() || &text[..2] != "00" {
            return None;
        }
        let read = Self {
            trace_id: u128::from_str_radix(&text[3..35], 16).ok()?,
            span_id: u64::from_str_radix(&text[36..52], 16).ok()?,
            flags: u8::from_str_radix(&text[53..], 16).ok()?,
        };
        (read.trace_id != 0 && read.span_id != 0).then_some(read)
    }
}

impl FromStr for TraceParent {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::read(text).ok_or_else(|| refused(text))
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            span_id,
            flags,
        } = self;
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }
}

fn refused(text: &str) -> Error {
    let shown: String = text.chars().take(64).collect();
    Error::invalid_input(
        Op::Publish,
        format!(
            "traceparent must be 00-<32 digits>-<16 digits>-<2 digits>, lower-case hexadecimal and no id of zeros, not {shown:?}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn written_as_it_was_read() {
        for flags in ["00", "01", "03", "ff"] {
            let text = format!("{}{flags}", &GOOD[..53]);
            let read: TraceParent = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
            assert_eq!(read.is_sampled(), flags != "00");
        }
        let made = TraceParent::new(
            0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            0xf0_67aa_0ba9_02b7,
            true,
        );
        assert_eq!(made.unwrap().to_string(), GOOD);
    }

    #[test]
    fn anything_else_is_refused() {
        let changed = |at: usize, c: &str| format!("{}{c}{}", &GOOD[..at], &GOOD[at + 1..]);
        let mut bad = vec![
            String::new(),
            GOOD[..54].to_owned(),
            format!("{GOOD}0"),
            format!("{GOOD}-extra"),
            changed(1, "1"),
            changed(0, "f"),
            changed(10, "F"),
            changed(10, "g"),
            changed(10, "-"),
            changed(36, "+"),
            changed(35, "_"),
            changed(53, " "),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("{}{}-01", &GOOD[..36], "0".repeat(16)),
        ];
        // 55 bytes, but a character across a place where it is cut.
        bad.push(format!("{}é{}", &GOOD[..34], &GOOD[36..]));
        for text in bad {
            let error = text.parse::<TraceParent>().unwrap_err().to_string();
            assert!(error.contains("no id of zeros"), "{text}: {error}");
        }
        assert!(TraceParent::new(0, 1, true).is_err() && TraceParent::new(1, 0, true).is_err());
    }
}
