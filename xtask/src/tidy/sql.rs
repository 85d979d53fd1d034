//! SQL is in `.sql` files, where a person can read, run and explain it; string literals in library
//! code hold none.

use super::source::without_inline_tests;
use super::{File, Finding};

/// The statements that read or change rows. Settings and transaction control (`PRAGMA`, `BEGIN`,
/// `COMMIT`) are part of the code that drives a connection.
const VERBS: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE"];

/// Crates that are tests throughout.
const TEST_CRATES: &[&str] = &["crates/events-testkit/", "crates/events-oracle-standin/"];

/// Looks at the string literals of a file of library code.
pub(super) fn check(file: &File) -> Vec<Finding> {
    if !is_library_code(&file.path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (line, text) in strings(without_inline_tests(&file.text)) {
        if let Some(verb) = verb(text) {
            let message = format!("a string that begins with {verb}, SQL belongs in a .sql file");
            findings.push(Finding::new(&file.path, line, message));
        }
    }
    findings
}

fn is_library_code(path: &str) -> bool {
    let is_source = path.starts_with("crates/") && path.contains("/src/") && path.ends_with(".rs");
    let is_test = path.contains("/tests/")
        || path.ends_with("tests.rs")
        || TEST_CRATES.iter().any(|folder| path.starts_with(folder));
    is_source && !is_test
}

/// The SQL verb that a literal begins with. Upper case only: `update failed` is prose.
fn verb(literal: &str) -> Option<&'static str> {
    let mut text = literal.trim_start();
    // A line break at the begin, written out or escaped away.
    while let Some(rest) = text
        .strip_prefix("\\n")
        .or_else(|| text.strip_prefix("\\\n"))
    {
        text = rest.trim_start();
    }
    VERBS.iter().copied().find(|verb| {
        let rest = text.strip_prefix(verb);
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_whitespace() || c == '\\'))
    })
}

/// The string literals of Rust source: line and content, escapes as written.
fn strings(source: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = source[at..].chars().next() {
        let rest = &source[at..];
        at += match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '\'' => quote(rest),
            '"' => {
                let content = plain(&rest[1..]);
                found.push((at + 1, content));
                content.len() + 2
            }
            c if c.is_alphabetic() || c == '_' => {
                let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let word = word.unwrap_or(rest.len());
                match raw(&rest[..word], &rest[word..]) {
                    Some((hashes, content)) => {
                        found.push((at + word + hashes + 1, content));
                        word + content.len() + 2 * (hashes + 1)
                    }
                    None => word,
                }
            }
            other => other.len_utf8(),
        };
        // A literal that never ends would lead past the end.
        at = at.min(source.len());
    }
    let line_at = |offset: usize| source[..offset].matches('\n').count() + 1;
    found
        .into_iter()
        .map(|(offset, text)| (line_at(offset), text))
        .collect()
}

/// The length of a block comment, which may hold others.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of a character literal, or of the quote that begins a lifetime.
fn quote(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            let escaped = chars.next().map_or(text.len(), |(at, c)| at + c.len_utf8());
            text[escaped..]
                .find('\'')
                .map_or(text.len(), |end| escaped + end + 1)
        }
        Some(_) => match chars.next() {
            Some((end, '\'')) => end + 1,
            _ => 1,
        },
        None => 1,
    }
}

/// The content of a string literal whose opening quote is before `text`.
fn plain(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &text[..at],
            _ => {}
        }
    }
    text
}

/// If `word` begins a raw string that goes on with `rest`: how many hashes, and the content.
fn raw<'a>(word: &str, rest: &'a str) -> Option<(usize, &'a str)> {
    if !matches!(word, "r" | "br" | "cr") {
        return None;
    }
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let content = rest[hashes..].strip_prefix('"')?;
    let end = content
        .find(&format!("\"{}", "#".repeat(hashes)))
        .unwrap_or(content.len());
    Some((hashes, &content[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(source: &str) -> Vec<&str> {
        strings(source).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn literals_are_told_from_everything_else() {
        let source = r###"
            // "comment" it's
            /* "block /* nested */ " */
            let a = "one \" two"; let b = '"'; let c = '\''; let d: &'static str = r"three";
            let e = r#"fo"ur"#; let f = br##"five"##; let r#type = b"six"; let g = 'ü';
            let h = '\u{1F600}'; let i = "seven";
        "###;
        let expected = ["one \\\" two", "three", "fo\"ur", "five", "six", "seven"];
        assert_eq!(contents(source), expected);
    }

    #[test]
    fn lines_are_counted() {
        assert_eq!(
            strings("\"a\"\n\n  \"b\n\" \"c\""),
            [(1, "a"), (3, "b\n"), (4, "c")]
        );
    }

    #[test]
    fn what_never_ends_is_no_panic() {
        for source in ["\"abc", "r#\"abc", "/* abc", "'", "'\\", "\"abc\\", "b'"] {
            strings(source);
        }
    }

    #[test]
    fn statements_are_known_by_their_verb() {
        assert_eq!(verb("SELECT 1"), Some("SELECT"));
        assert_eq!(verb("\n    UPDATE t"), Some("UPDATE"));
        assert_eq!(verb("\\\n    DELETE FROM t"), Some("DELETE"));
        assert_eq!(verb("INSERT\\n INTO t"), Some("INSERT"));
        for text in [
            "SELECTED",
            "update failed",
            "PRAGMA user_version",
            "BEGIN IMMEDIATE",
            "",
        ] {
            assert_eq!(verb(text), None, "{text}");
        }
    }

    #[test]
    fn only_library_code_is_checked() {
        let found = |path: &str| {
            let text = "//! A.\nfn a() {\n    run(\"SELECT 1\");\n}\n".to_owned();
            check(&File {
                path: path.to_owned(),
                text,
            })
        };
        assert_eq!(found("crates/a/src/store.rs")[0].line, 3);
        assert!(found("crates/a/src/store/tests.rs").is_empty());
        assert!(found("crates/a/tests/store.rs").is_empty());
        assert!(found("crates/events-testkit/src/check.rs").is_empty());
        let inline = "//! A.\n\n#[cfg(test)]\nmod tests {\n    const A: &str = \"SELECT 1\";\n}\n";
        let file = File {
            path: "crates/a/src/b.rs".to_owned(),
            text: inline.to_owned(),
        };
        assert!(check(&file).is_empty());
    }
}
