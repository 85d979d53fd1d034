//! Dequeue conditions: exact correlations, joined by OR.

use super::block::refused;
use crate::OraError;

/// The correlations that a condition lets through; `None` in the list is a message without one.
pub(super) fn correlations(condition: &str) -> Result<Vec<Option<String>>, OraError> {
    condition
        .split(" OR ")
        .map(|term| {
            let term = term.trim();
            if term == "tab.corrid IS NULL" {
                return Ok(None);
            }
            let text = term
                .strip_prefix("tab.corrid = '")
                .and_then(|rest| rest.strip_suffix('\''))
                .filter(|text| !text.contains('\''));
            text.map(|text| Some(text.to_owned()))
                .ok_or_else(|| refused(term))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_terms_are_understood_and_nothing_else() {
        let of = |text| correlations(text).unwrap();
        assert_eq!(of("tab.corrid = 'a_b'"), [Some("a_b".to_owned())]);
        assert_eq!(
            of("tab.corrid = 'a' OR tab.corrid IS NULL"),
            [Some("a".to_owned()), None]
        );
        assert!(correlations("tab.corrid LIKE 'a'").is_err());
        assert!(correlations("tab.corrid = 'a' AND 1 = 1").is_err());
    }
}
