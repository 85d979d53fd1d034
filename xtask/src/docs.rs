//! `cargo xtask docs`: the API docs, the book, and whether their links lead anywhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::sh::{self, Result};

/// The pages outside the book whose links are checked, where they exist.
const PAGES: &[&str] = &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];

/// The book, from the root.
const BOOK: &str = "docs/src";

/// Builds and checks; with `check` alone the book is not built.
pub(crate) fn run(check: bool) -> Result<()> {
    let mut rustdoc = sh::cargo_at_root("doc --workspace --no-deps --all-features");
    sh::run(rustdoc.env("RUSTDOCFLAGS", "-D warnings"))?;

    let root = sh::root();
    let faults = faults(&root)?;
    for fault in &faults {
        println!("{fault}");
    }
    if !faults.is_empty() {
        return Err(format!("faults in the pages: {}", faults.len()).into());
    }
    println!("pages: every link leads somewhere, every page is in the summary");
    if check {
        return Ok(());
    }
    if !sh::on_path("mdbook") {
        println!("the book was not built: mdbook is not on PATH");
        return Ok(());
    }
    sh::run(
        Command::new("mdbook")
            .arg("build")
            .arg("docs")
            .current_dir(root),
    )
}

/// What is wrong with the pages under `root`.
fn faults(root: &Path) -> Result<Vec<String>> {
    let mut pages: Vec<PathBuf> = PAGES.iter().map(PathBuf::from).collect();
    pages.retain(|page| root.join(page).is_file());
    pages.extend(markdown_under(root, Path::new(BOOK))?);

    let summary = Path::new(BOOK).join("SUMMARY.md");
    let mut listed = BTreeSet::from([summary.clone()]);
    let mut faults = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(root.join(page))?;
        for (line, target) in links(&text) {
            let Some(path) = local_path(page, &target) else {
                continue;
            };
            if !root.join(&path).exists() {
                let page = page.display();
                faults.push(format!("{page}:{line}: `{target}` does not exist"));
            }
            if *page == summary {
                listed.insert(path);
            }
        }
    }
    for page in pages
        .iter()
        .filter(|page| page.starts_with(BOOK) && !listed.contains(*page))
    {
        faults.push(format!(
            "{}:1: not in {}",
            page.display(),
            summary.display()
        ));
    }
    Ok(faults)
}

/// The pages in a folder and below, with paths from the root, sorted.
fn markdown_under(root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            pages.extend(markdown_under(root, &path)?);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages.sort();
    Ok(pages)
}

/// The file that a link on `page` leads to, from the root; `None` if it leads out of the
/// repository or stays on the page.
fn local_path(page: &Path, target: &str) -> Option<PathBuf> {
    let path = target.split('#').next().unwrap_or_default();
    let scheme = path.split_once(':').map_or("", |(scheme, _)| scheme);
    let leads_out = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphabetic());
    if path.is_empty() || leads_out {
        return None;
    }
    let mut resolved = PathBuf::new();
    for part in page
        .parent()
        .unwrap_or(Path::new(""))
        .join(path)
        .components()
    {
        match part {
            Component::ParentDir if resolved.pop() => {}
            Component::CurDir => {}
            other => resolved.push(other),
        }
    }
    Some(resolved)
}

/// The links of a page: line and target, code left out.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        let begin = line.trim_start();
        if begin.starts_with("```") || begin.starts_with("~~~") {
            in_code = !in_code;
            continue;
        }
        if in_code {
            continue;
        }
        let line = without_code_spans(line);
        let inline = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        let definition = line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "))
            .map(|(_, target)| target);
        for target in inline.chain(definition) {
            // A title may follow after a space.
            let target = target.split_whitespace().next().unwrap_or_default();
            let target = target.trim_start_matches('<').trim_end_matches('>');
            links.push((index + 1, target.to_owned()));
        }
    }
    links
}

/// The line without what is between backticks.
fn without_code_spans(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_code() {
        let text = "[a](a.md) and [b](<b.md> \"title\"), not `[c](c.md)`\n\
                    ```text\n[d](d.md)\n```\n[e]: e.md#part\n";
        let found: Vec<_> = links(text);
        let expected = [(1, "a.md"), (1, "b.md"), (5, "e.md#part")];
        assert_eq!(
            found,
            expected.map(|(line, target)| (line, target.to_owned()))
        );
    }

    #[test]
    fn targets_are_resolved_from_their_page() {
        let page = Path::new("docs/src/adr/0001.md");
        let local = |target| local_path(page, target);
        assert_eq!(
            local("../testing.md#skips"),
            Some("docs/src/testing.md".into())
        );
        assert_eq!(local("./0002.md"), Some("docs/src/adr/0002.md".into()));
        assert_eq!(local("../../../README.md"), Some("README.md".into()));
        assert_eq!(local("https://example.org/a.md"), None);
        assert_eq!(local("mailto:a@example.org"), None);
        assert_eq!(local("#part"), None);
    }

    #[test]
    fn dead_links_and_forgotten_pages_are_faults() {
        let root = tempfile::tempdir().unwrap();
        let book = root.path().join(BOOK);
        fs::create_dir_all(&book).unwrap();
        fs::write(book.join("SUMMARY.md"), "- [A](a.md)\n- [Gone](gone.md)\n").unwrap();
        fs::write(book.join("a.md"), "[up](../../README.md)\n").unwrap();
        fs::write(book.join("b.md"), "forgotten\n").unwrap();
        fs::write(
            root.path().join("README.md"),
            "[book](docs/src/SUMMARY.md)\n",
        )
        .unwrap();
        assert_eq!(
            faults(root.path()).unwrap(),
            [
                "docs/src/SUMMARY.md:2: `gone.md` does not exist",
                "docs/src/b.md:1: not in docs/src/SUMMARY.md",
            ]
        );
    }
}
