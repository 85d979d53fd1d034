//! `cargo xtask tidy`: the rules of this repository that no compiler checks.

mod conformance;
mod edges;
mod guarantees;
mod released;
mod source;
mod sql;

use std::fmt;
use std::fs;
use std::path::Path;

use crate::sh::{self, Result};

/// What a reader of this repository writes or reads; other files are not looked at.
const TEXT: &[&str] = &["rs", "md", "toml", "sql", "yml", "yaml", "sh"];

/// Text without an extension.
const TEXT_FILES: &[&str] = &[".ci/run", ".gitignore"];

/// Folders that hold nothing of ours.
const NOT_OURS: &[&str] = &[".git", "target", "docs/book"];

/// A file, with its path from the root of the workspace.
#[derive(Debug)]
struct File {
    path: String,
    text: String,
}

/// A broken rule: where, what, why.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    message: String,
    /// Shown, but not a failure.
    warning: bool,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
            warning: false,
        }
    }

    fn warning(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            warning: true,
            ..Self::new(path, line, message)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            message,
            warning,
        } = self;
        write!(
            out,
            "{path}:{line}: {}{message}",
            if *warning { "warning: " } else { "" }
        )
    }
}

/// Checks everything and prints each finding; one that is no warning is a failure.
pub(crate) fn run() -> Result<()> {
    let root = sh::root();
    let mut files = Vec::new();
    read_folder(&root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));

    let mut findings = edges::check(&edges::metadata()?, &root)?;
    for file in &files {
        findings.extend(source::check(file));
        findings.extend(sql::check(file));
    }
    findings.extend(conformance::check(&files));
    findings.extend(guarantees::check(&files));
    findings.extend(released::check_folder(&root.join("migrations"))?);

    for finding in &findings {
        println!("{finding}");
    }
    let failures = findings.iter().filter(|finding| !finding.warning).count();
    if failures > 0 {
        return Err(format!("faults: {failures}").into());
    }
    println!(
        "tidy: {} files, no fault, warnings: {}",
        files.len(),
        findings.len()
    );
    Ok(())
}

/// Reads the text files under `folder`, a path from the root, which is empty for the root itself.
fn read_folder(root: &Path, folder: &str, files: &mut Vec<File>) -> Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() {
            name
        } else {
            format!("{folder}/{name}")
        };
        let kind = entry.file_type()?;
        if kind.is_dir() && !NOT_OURS.contains(&path.as_str()) {
            read_folder(root, &path, files)?;
        } else if kind.is_file() && is_text(&path) {
            let text = fs::read_to_string(entry.path())
                .map_err(|error| format!("cannot read {path}: {error}"))?;
            files.push(File { path, text });
        }
    }
    Ok(())
}

fn is_text(path: &str) -> bool {
    let extension = Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str());
    TEXT_FILES.contains(&path) || extension.is_some_and(|extension| TEXT.contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_as_an_editor_expects() {
        let finding = Finding::new("crates/a/src/lib.rs", 3, "this, because of that");
        assert_eq!(
            finding.to_string(),
            "crates/a/src/lib.rs:3: this, because of that"
        );
        let finding = Finding::warning("a.rs", 1, "long");
        assert_eq!(finding.to_string(), "a.rs:1: warning: long");
    }

    #[test]
    fn text_is_known_by_its_name() {
        assert!(is_text("crates/a/src/lib.rs"));
        assert!(is_text(".ci/run"));
        assert!(!is_text("tests/fixtures/old.db"));
        assert!(!is_text("LICENSE-MIT"));
    }

    #[test]
    fn this_repository_is_read_without_its_build_output() {
        let mut files = Vec::new();
        read_folder(&sh::root(), "", &mut files).unwrap();
        assert!(files.iter().any(|file| file.path == "xtask/src/tidy.rs"));
        assert!(!files.iter().any(|file| file.path.starts_with("target/")));
    }
}
