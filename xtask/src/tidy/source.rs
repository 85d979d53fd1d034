//! Rules for one file: its size, its module doc, and words that must not be in it.

use super::{File, Finding};

/// Above this a file should be split when next worked on.
const SOFT_CAP: usize = 300;

/// Above this it must be.
const HARD_CAP: usize = 500;

/// Files that may be longer, each with the reason.
const LONG: &[(&str, &str)] = &[];

/// Paths of one machine. Put together here so that this file does not hold them itself.
const FORBIDDEN: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];

/// Checks a file of any kind.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let mut findings = forbidden_words(file);
    if file.path.ends_with(".rs") {
        findings.extend(size(file));
        findings.extend(module_doc(file));
    }
    findings
}

fn forbidden_words(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for word in FORBIDDEN.iter().filter(|word| line.contains(**word)) {
            let message = format!("`{word}`, a path of one machine means nothing on another");
            findings.push(Finding::new(&file.path, index + 1, message));
        }
    }
    findings
}

fn size(file: &File) -> Option<Finding> {
    let lines = without_inline_tests(&file.text).lines().count();
    if lines <= SOFT_CAP || LONG.iter().any(|(path, _)| *path == file.path) {
        return None;
    }
    if lines <= HARD_CAP {
        let message = format!("{lines} lines, split it before it has more than {HARD_CAP}");
        return Some(Finding::warning(&file.path, 1, message));
    }
    let message = format!("{lines} lines, more than {HARD_CAP} is too much for one idea: split it");
    Some(Finding::new(&file.path, 1, message))
}

/// The text up to an inline test module at its end: the tests of a file do not make it harder to
/// read.
pub(super) fn without_inline_tests(text: &str) -> &str {
    let attribute = "\n#[cfg(test)]\n";
    for (at, _) in text.match_indices(attribute) {
        let next = text[at + attribute.len()..]
            .lines()
            .next()
            .unwrap_or_default();
        if next.starts_with("mod ") && next.ends_with('{') {
            return &text[..=at];
        }
    }
    text
}

fn module_doc(file: &File) -> Option<Finding> {
    let is_source = file.path.contains("/src/")
        && ["crates/", "migrations/", "xtask/"]
            .iter()
            .any(|folder| file.path.starts_with(folder));
    if !is_source || begins_with_doc(&file.text) {
        return None;
    }
    let message = "no `//!` module doc at the top, a reader must know what the file is for";
    Some(Finding::new(&file.path, 1, message))
}

/// Whether the first line that is neither empty nor part of an inner attribute is a module doc.
fn begins_with_doc(text: &str) -> bool {
    // How many brackets of an inner attribute are open.
    let mut open = 0;
    for line in text.lines().map(str::trim) {
        if open > 0 || line.starts_with("#![") {
            open += line.matches('[').count();
            open = open.saturating_sub(line.matches(']').count());
        } else if !line.is_empty() {
            return line.starts_with("//!");
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: impl Into<String>) -> File {
        File {
            path: path.to_owned(),
            text: text.into(),
        }
    }

    #[test]
    fn long_files_are_warned_of_and_then_refused() {
        let of = |lines: usize| size(&file("tests/it/a.rs", "x\n".repeat(lines)));
        assert_eq!(of(SOFT_CAP), None);
        assert!(of(SOFT_CAP + 1).unwrap().warning);
        assert!(of(HARD_CAP).unwrap().warning);
        assert!(!of(HARD_CAP + 1).unwrap().warning);
    }

    #[test]
    fn inline_tests_do_not_count() {
        let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
        assert_eq!(without_inline_tests(text), "fn a() {}\n\n");
        let elsewhere = "fn a() {}\n\n#[cfg(test)]\nmod tests;\nfn c() {}\n";
        assert_eq!(without_inline_tests(elsewhere), elsewhere);
    }

    #[test]
    fn the_first_thing_in_a_source_file_is_its_doc() {
        assert!(begins_with_doc("//! What.\n"));
        assert!(begins_with_doc(
            "#![expect(\n    dead_code,\n    reason = \"x\"\n)]\n\n//! What.\n"
        ));
        assert!(!begins_with_doc("use std::fmt;\n//! What.\n"));
        assert!(!begins_with_doc("// What.\n"));
        assert!(!begins_with_doc(""));
        assert!(module_doc(&file("crates/a/src/b.rs", "fn a() {}\n")).is_some());
        assert!(module_doc(&file("crates/a/examples/b.rs", "fn a() {}\n")).is_none());
        assert!(module_doc(&file("tests/it/b.rs", "fn a() {}\n")).is_none());
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let text = format!("see\n{}main\n", FORBIDDEN[0]);
        let findings = check(&file("README.md", text));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, 2);
        assert!(
            check(&file(
                "README.md",
                "see network/ and the root of the work tree\n"
            ))
            .is_empty()
        );
    }
}
