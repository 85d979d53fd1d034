//! The payload that every measurement carries, numbered so that arrivals can be counted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// What the fields other than `body` take.
const FRAME: usize = 56;

/// Makes payloads of one size.
#[derive(Debug, Clone)]
pub(crate) struct Payloads {
    body: String,
}

/// One payload.
#[derive(Debug, Serialize)]
pub(crate) struct Payload<'a> {
    i: usize,
    /// When it was published, for latencies.
    t: u64,
    r#type: &'static str,
    body: &'a str,
}

impl Payloads {
    /// Payloads of about this many bytes of JSON.
    pub(crate) fn of(bytes: usize) -> Self {
        Self {
            body: "x".repeat(bytes.saturating_sub(FRAME)),
        }
    }

    /// The payload of this number, stamped with the present time.
    pub(crate) fn get(&self, number: usize) -> Payload<'_> {
        Payload {
            i: number,
            t: now_ns(),
            r#type: "bench",
            body: &self.body,
        }
    }

    /// The same as JSON text.
    pub(crate) fn text(&self, number: usize) -> String {
        serde_json::to_string(&self.get(number)).expect("a struct of plain fields is JSON")
    }
}

/// Wall-clock time in nanoseconds: the one clock that two processes share.
pub(crate) fn now_ns() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// How long ago that was.
pub(crate) fn since(sent_ns: u64) -> Duration {
    Duration::from_nanos(now_ns().saturating_sub(sent_ns))
}

/// The number and time of a payload, found in its text without parsing the rest.
pub(crate) fn read(text: &str) -> Option<(usize, u64)> {
    Some((
        usize::try_from(field(text, "\"i\":")?).ok()?,
        field(text, "\"t\":")?,
    ))
}

fn field(text: &str, key: &str) -> Option<u64> {
    let rest = &text[text.find(key)? + key.len()..];
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().ok()
}

/// The number and time of a payload that the library parsed.
pub(crate) fn read_value(value: &serde_json::Value) -> Option<(usize, u64)> {
    let number = value.get("i")?.as_u64()?;
    Some((usize::try_from(number).ok()?, value.get("t")?.as_u64()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_asked_for_and_numbers_are_found() {
        for bytes in [110, 1024, 8192] {
            let text = Payloads::of(bytes).text(1234);
            assert!(text.len().abs_diff(bytes) <= 4, "{}", text.len());
            let (number, time) = read(&text).unwrap();
            assert_eq!(number, 1234);
            assert!(since(time) < Duration::from_secs(60));
            let value = serde_json::from_str(&text).unwrap();
            assert_eq!(read_value(&value), Some((number, time)));
        }
    }
}
