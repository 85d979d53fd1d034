//! Payloads: any JSON value, encoded once and checked before a database sees it.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::{Error, Op, Result};

/// Metadata travels beside the payload: a JSON object.
pub type Metadata = serde_json::Map<String, Value>;

/// The deepest nesting of a payload; `[[1]]` has depth 2.
pub const MAX_DEPTH: usize = 64;
/// The largest payload that any configuration can allow, in bytes of JSON text.
pub const MAX_PAYLOAD_BYTES: usize = 16 * 1024 * 1024;
/// The largest metadata, in bytes of JSON text.
pub const MAX_METADATA_BYTES: usize = 16 * 1024;

/// JSON text within the limits that every database shares.
///
/// At most [`MAX_DEPTH`] deep, without `\u0000`, and with numbers that fit `i64`, `u64` or `f64`.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Box<str>);

impl Payload {
    /// Encodes a value.
    ///
    /// # Errors
    /// `InvalidInput` when the value cannot be written as JSON or breaks a limit.
    pub fn encode(value: &(impl Serialize + ?Sized)) -> Result<Self> {
        let text = serde_json::to_string(value).map_err(|e| {
            Error::invalid_input(Op::Publish, "the payload cannot be written as JSON").caused_by(e)
        })?;
        Self::checked(text)
    }

    /// Takes JSON text as it is.
    ///
    /// # Errors
    /// `InvalidInput` with line and column when it is not one JSON value, or breaks a limit.
    pub fn from_text(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        check_text(&text).map_err(|reason| Error::invalid_input(Op::Publish, reason))?;
        if let Err(e) = serde_json::from_str::<serde::de::IgnoredAny>(&text) {
            return Err(Error::invalid_input(
                Op::Publish,
                format!(
                    "the payload is not JSON: line {} column {}",
                    e.line(),
                    e.column()
                ),
            ));
        }
        Ok(Self(text.into_boxed_str()))
    }

    fn checked(text: String) -> Result<Self> {
        check_text(&text).map_err(|reason| Error::invalid_input(Op::Publish, reason))?;
        Ok(Self(text.into_boxed_str()))
    }

    /// The JSON text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Its size in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "JSON text is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Refuses text above `limit` bytes.
    ///
    /// # Errors
    /// `InvalidInput` that names the size, the limit and the option to raise.
    pub fn fits(&self, limit: usize) -> Result<()> {
        if self.len() <= limit {
            return Ok(());
        }
        Err(Error::invalid_input(
            Op::Publish,
            format!(
                "the payload is {} bytes of JSON, the limit is {limit}; send a reference instead, or raise max_payload_bytes (up to {MAX_PAYLOAD_BYTES})",
                self.len()
            ),
        ))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.len())
    }
}

/// Encodes metadata, which must be a JSON object of at most [`MAX_METADATA_BYTES`].
pub(crate) fn encode_metadata(value: &impl Serialize) -> Result<Payload> {
    let payload = Payload::encode(value).map_err(|e| {
        let reason = e
            .detail()
            .unwrap_or_default()
            .replace("the payload", "the metadata");
        Error::invalid_input(Op::Publish, reason)
    })?;
    if !payload.0.starts_with('{') {
        return Err(Error::invalid_input(
            Op::Publish,
            "metadata must be a JSON object",
        ));
    }
    if payload.len() > MAX_METADATA_BYTES {
        return Err(Error::invalid_input(
            Op::Publish,
            format!(
                "the metadata is {} bytes of JSON, the limit is {MAX_METADATA_BYTES}",
                payload.len()
            ),
        ));
    }
    Ok(payload)
}

/// Checks depth, `\u0000` and numbers in one pass over text whose syntax somebody else checks.
fn check_text(text: &str) -> Result<(), String> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = skip_string(bytes, at)?,
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(format!(
                        "the payload is nested deeper than {MAX_DEPTH} levels; flatten it"
                    ));
                }
                at += 1;
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b'-' | b'0'..=b'9' => at = skip_number(text, at)?,
            _ => at += 1,
        }
    }
    Ok(())
}

/// The position after the string that starts at `at`.
fn skip_string(bytes: &[u8], at: usize) -> Result<usize, String> {
    let mut at = at + 1;
    let special = |byte: &u8| matches!(byte, b'"' | b'\\');
    while let Some(plain) = bytes
        .get(at..)
        .and_then(|rest| rest.iter().position(special))
    {
        at += plain;
        if bytes[at] == b'"' {
            return Ok(at + 1);
        }
        if bytes[at..].starts_with(b"\\u0000") {
            return Err(
                "the payload contains \\u0000, which PostgreSQL cannot store; remove it".to_owned(),
            );
        }
        at += 2;
    }
    Ok(bytes.len())
}

/// The position after the number that starts at `at`.
fn skip_number(text: &str, at: usize) -> Result<usize, String> {
    let rest = &text[at..];
    let len = rest
        .find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'))
        .unwrap_or(rest.len());
    let number = &rest[..len];
    // Up to 18 digits always fit; most numbers end here.
    let short_integer = len <= 18 && number.bytes().skip(1).all(|b| b.is_ascii_digit());
    let integer = || number.bytes().skip(1).all(|b| b.is_ascii_digit());
    let fits = short_integer
        || if integer() {
            number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok()
        } else {
            number.parse::<f64>().is_ok_and(f64::is_finite)
        };
    if fits {
        return Ok(at + len);
    }
    Err(format!(
        "the payload holds a number of {len} characters that fits neither i64, u64 nor f64; send it as a string"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(text: &str) -> String {
        Payload::from_text(text).unwrap_err().to_string()
    }

    #[test]
    fn any_json_value_is_a_payload() {
        for value in [
            json!(null),
            json!(1),
            json!("x"),
            json!([1, 2]),
            json!({"a": {"b": 1.5e300}}),
            json!(u64::MAX),
        ] {
            let payload = Payload::encode(&value).unwrap();
            assert_eq!(
                serde_json::from_str::<Value>(payload.text()).unwrap(),
                value
            );
        }
    }

    #[test]
    fn depth_is_limited() {
        let at = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Payload::from_text(at(MAX_DEPTH)).is_ok());
        assert!(refused(&at(MAX_DEPTH + 1)).contains("64 levels"));
    }

    #[test]
    fn nul_is_refused_in_values_and_keys_but_not_an_escaped_backslash() {
        assert!(refused(r#"{"a":"x\u0000"}"#).contains("u0000"));
        assert!(
            Payload::encode(&json!({"a\0": 1}))
                .unwrap_err()
                .to_string()
                .contains("u0000")
        );
        assert!(Payload::from_text(r#""\\u0000""#).is_ok());
    }

    #[test]
    fn numbers_that_would_change_are_refused() {
        for bad in [
            "18446744073709551616",
            "-9223372036854775809",
            "1e400",
            "[1,123456789012345678901234567890]",
        ] {
            assert!(refused(bad).contains("i64, u64 nor f64"), "{bad}");
        }
        for good in [
            "18446744073709551615",
            "-9223372036854775808",
            "1e308",
            "-0.5",
            "0",
        ] {
            assert!(Payload::from_text(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn text_that_is_not_json_is_refused_with_its_place_and_without_its_content() {
        let error = refused("{\"secret\": }");
        assert!(
            error.contains("line 1 column 12") && !error.contains("secret"),
            "{error}"
        );
        assert!(Payload::from_text("").is_err());
        assert!(Payload::from_text("1 2").is_err());
    }

    #[test]
    fn size_error_names_size_limit_and_option() {
        let error = Payload::encode(&"x".repeat(98))
            .unwrap()
            .fits(99)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("100 bytes")
                && error.contains("limit is 99")
                && error.contains("max_payload_bytes")
        );
    }

    #[test]
    fn metadata_is_an_object() {
        assert!(
            encode_metadata(&json!([1]))
                .unwrap_err()
                .to_string()
                .contains("JSON object")
        );
        assert!(encode_metadata(&json!({"a": "x".repeat(MAX_METADATA_BYTES)})).is_err());
        assert_eq!(encode_metadata(&json!({})).unwrap().text(), "{}");
    }
}
