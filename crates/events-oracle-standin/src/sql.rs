//! What the interface itself must know of a statement: its kind and its variables.

/// The kinds of statements, numbered as the interface does.
pub(crate) fn kind(sql: &str) -> u16 {
    let word: String = uncommented(sql)
        .trim_start()
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect();
    match word.to_ascii_uppercase().as_str() {
        "SELECT" | "WITH" => SELECT,
        "UPDATE" => 2,
        "DELETE" => 3,
        "INSERT" => 4,
        "CREATE" => 5,
        "DROP" => 6,
        "ALTER" => 7,
        "BEGIN" => 8,
        "DECLARE" => 9,
        "CALL" => 10,
        "MERGE" => 16,
        _ => 0,
    }
}

pub(crate) const SELECT: u16 = 1;

/// Whether a statement of this kind is PL/SQL, where a variable counts once however often it is named.
pub(crate) fn is_block(kind: u16) -> bool {
    matches!(kind, 8..=10)
}

/// Whether a statement of this kind ends the transaction.
pub(crate) fn commits(kind: u16) -> bool {
    matches!(kind, 5..=7)
}

/// The variables in the order they are named, upper case, repeated where the statement repeats them.
pub(crate) fn variables(sql: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        if let Some(length) = skipped(rest) {
            rest = &rest[length..];
        } else if let (':', Some(name)) = (first, name(&rest[1..])) {
            found.push(name.to_ascii_uppercase());
            rest = &rest[1 + name.len()..];
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

fn name(text: &str) -> Option<&str> {
    let first = text.chars().next()?;
    if !first.is_ascii_alphanumeric() {
        return None;
    }
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '#');
    let end = text.find(|c| !inside(c)).unwrap_or(text.len());
    Some(&text[..end])
}

/// The length of the comment, literal or quoted name that the text begins with.
fn skipped(text: &str) -> Option<usize> {
    let after = |opening: usize, closing: &str| {
        let end = text[opening..].find(closing);
        end.map_or(text.len(), |at| opening + at + closing.len())
    };
    if text.starts_with("--") {
        return Some(after(2, "\n"));
    }
    if text.starts_with("/*") {
        return Some(after(2, "*/"));
    }
    if text.starts_with('\'') {
        return Some(after(1, "'"));
    }
    if text.starts_with('"') {
        return Some(after(1, "\""));
    }
    let quoted = text
        .strip_prefix("q'")
        .or_else(|| text.strip_prefix("Q'"))?;
    let closing = match quoted.chars().next()? {
        '[' => "]'".to_owned(),
        '(' => ")'".to_owned(),
        '{' => "}'".to_owned(),
        '<' => ">'".to_owned(),
        other => format!("{other}'"),
    };
    Some(after(3, &closing))
}

/// The text with its comments taken out.
pub(crate) fn uncommented(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let comment = rest.starts_with("--") || rest.starts_with("/*");
        let length = skipped(rest).unwrap_or(first.len_utf8());
        text.push_str(if comment { " " } else { &rest[..length] });
        rest = &rest[length..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_outside_literals_and_comments() {
        let sql =
            "/* :a */ BEGIN x := :b; -- :c\n y := ':d'; z := q'[ :e' ]'; w := :B; :f1 := 1; END;";
        assert_eq!(variables(sql), ["B", "B", "F1"]);
    }

    #[test]
    fn kinds_are_told_through_comments() {
        assert_eq!(kind("/* tag */ -- x\n select 1 from dual"), SELECT);
        assert!(is_block(kind("DECLARE x NUMBER; BEGIN NULL; END;")));
        assert!(commits(kind("CREATE TABLE a (b NUMBER)")));
        assert_eq!(kind("GRANT x TO y"), 0);
    }
}
