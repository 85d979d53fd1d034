//! Oracle's NUMBER as it travels: a length, an exponent of base 100, and digits of base 100.

use crate::Value;

/// The size of a NUMBER with its length byte.
pub(crate) const SIZE: usize = 22;

/// Encodes a decimal text such as `-12.5`; more than 38 digits are cut.
fn encode(text: &str) -> [u8; SIZE] {
    let mut number = [0; SIZE];
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    // Pairs of digits, aligned at the decimal point.
    let padded = format!(
        "{}{whole}{fraction}{}",
        if whole.len() % 2 == 1 { "0" } else { "" },
        if fraction.len() % 2 == 1 { "0" } else { "" },
    );
    let pairs: Vec<u8> = padded
        .as_bytes()
        .chunks(2)
        .map(|pair| (pair[0] - b'0') * 10 + (pair[1] - b'0'))
        .collect();
    let leading = pairs.iter().take_while(|pair| **pair == 0).count();
    let mantissa: Vec<u8> = {
        let kept = &pairs[leading..];
        let used = kept
            .iter()
            .rposition(|pair| *pair != 0)
            .map_or(0, |at| at + 1);
        kept[..used.min(20)].to_vec()
    };
    if mantissa.is_empty() {
        number[..2].copy_from_slice(&[1, 0x80]);
        return number;
    }
    let before_point = i64::try_from(whole.len().div_ceil(2)).unwrap_or(0);
    let exponent = before_point - i64::try_from(leading).unwrap_or(0) - 1;
    let biased = u8::try_from(193 + exponent).unwrap_or(255);
    let mut at = 1;
    number[at] = if negative { !biased } else { biased };
    for digit in &mantissa {
        at += 1;
        number[at] = if negative { 101 - digit } else { digit + 1 };
    }
    if negative && mantissa.len() < 20 {
        at += 1;
        number[at] = 102;
    }
    number[0] = u8::try_from(at).unwrap_or(21);
    number
}

/// The NUMBER of a value; `None` for what is none.
pub(crate) fn from_value(value: &Value) -> Option<[u8; SIZE]> {
    match value {
        Value::Integer(number) => Some(encode(&number.to_string())),
        Value::Float(number) if number.is_finite() => Some(encode(&format!("{number}"))),
        _ => None,
    }
}

/// A NUMBER as a value: whole when it is and fits.
pub(crate) fn to_value(number: &[u8]) -> Value {
    let length = usize::from(number[0]).clamp(1, SIZE - 1);
    let body = &number[1..=length];
    let negative = body[0] & 0x80 == 0;
    let exponent = i32::from(if negative { !body[0] } else { body[0] }) - 193;
    let mut digits = &body[1..];
    if negative && digits.last() == Some(&102) {
        digits = &digits[..digits.len() - 1];
    }
    let pairs: Vec<u8> = digits
        .iter()
        .map(|digit| if negative { 101 - digit } else { digit - 1 })
        .collect();
    let sign = if negative { "-" } else { "" };
    let text: String = pairs.iter().map(|pair| format!("{pair:02}")).collect();
    let scale = (exponent + 1) * 2 - i32::try_from(text.len()).unwrap_or(0);
    if text.is_empty() {
        return Value::Integer(0);
    }
    if scale >= 0 {
        let zeros = "0".repeat(usize::try_from(scale).unwrap_or(0));
        if let Ok(whole) = format!("{sign}{text}{zeros}").parse() {
            return Value::Integer(whole);
        }
    }
    let float = format!("{sign}{text}e{scale}")
        .parse::<f64>()
        .unwrap_or(f64::NAN);
    // A last pair such as 50 leaves a zero behind the point that makes no fraction.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "checked to be whole and small"
    )]
    if float.fract() == 0.0 && float.abs() < 9e15 {
        return Value::Integer(float as i64);
    }
    Value::Float(float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_come_back() {
        for number in [
            0,
            1,
            -1,
            9,
            10,
            99,
            100,
            101,
            -100,
            12_345,
            -99_999,
            i64::MAX,
            i64::MIN,
        ] {
            let encoded = from_value(&Value::Integer(number)).unwrap();
            assert_eq!(to_value(&encoded), Value::Integer(number), "{encoded:?}");
        }
    }

    #[test]
    fn fractions_come_back() {
        for number in [
            0.5, -0.5, 0.05, 0.000_123, 1.25, -1234.5678, 100.01, 86_400.5,
        ] {
            let encoded = from_value(&Value::Float(number)).unwrap();
            assert_eq!(to_value(&encoded), Value::Float(number), "{encoded:?}");
        }
    }

    #[test]
    fn known_encodings() {
        let bytes = |number| from_value(&Value::Integer(number)).unwrap()[..4].to_vec();
        assert_eq!(bytes(1), [2, 0xc1, 2, 0]);
        assert_eq!(bytes(-1), [3, 0x3e, 100, 102]);
        assert_eq!(bytes(100), [2, 0xc2, 2, 0]);
    }
}
