//! Dequeue conditions and the rules of subscribers: exact correlations, and perhaps none.

use super::block::refused;
use crate::OraError;

/// The correlations that a condition lets through; `None` in the list is a message without one.
/// Conditions have `tab.` before the column, rules have not.
pub(super) fn correlations(condition: &str, column: &str) -> Result<Vec<Option<String>>, OraError> {
    let or_none = format!(" OR {column} IS NULL)");
    let inner = condition
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(&*or_none));
    let list = inner
        .unwrap_or(condition)
        .strip_prefix(column)
        .and_then(|rest| rest.strip_prefix(" IN ('"))
        .and_then(|rest| rest.strip_suffix("')"))
        .ok_or_else(|| refused(condition))?;
    let mut all: Vec<_> = list.split("', '").map(|one| Some(one.to_owned())).collect();
    if all.iter().flatten().any(|one| one.contains('\'')) {
        return Err(refused(condition));
    }
    if inner.is_some() {
        all.push(None);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_terms_are_understood_and_nothing_else() {
        let of = |text| correlations(text, "tab.corrid").unwrap();
        assert_eq!(of("tab.corrid IN ('a_b')"), [Some("a_b".to_owned())]);
        assert_eq!(
            of("(tab.corrid IN ('a', 'b') OR tab.corrid IS NULL)"),
            [Some("a".to_owned()), Some("b".to_owned()), None]
        );
        for other in [
            "tab.corrid LIKE 'a'",
            "corrid IN ('a')",
            "tab.corrid IN ('a') OR tab.corrid IS NULL",
            "tab.corrid IN ('a') AND 1 IN ('a')",
        ] {
            assert!(correlations(other, "tab.corrid").is_err(), "{other}");
        }
        assert!(correlations("corrid IN ('a')", "corrid").is_ok());
    }
}
