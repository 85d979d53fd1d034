//! The table of conformance cases: each case has one row, and each test that a row names exists.

use std::collections::BTreeMap;

use super::{File, Finding};

const PAGE: &str = "docs/src/contributing/conformance.md";
const CASES: &str = "crates/events-testkit/src/cases/";
const SUITE: &str = "crates/events-testkit/src/lib.rs";

/// How many cases there are, by the letter before their number.
const COUNTS: [(&str, usize); 2] = [("", 124), ("X", 31)];

/// Checks the page against the tests among all files.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let text_of = |path: &str| {
        let file = files.iter().find(|file| file.path == path);
        file.map(|file| file.text.as_str())
    };
    let Some(page) = text_of(PAGE) else {
        return vec![Finding::new(PAGE, 1, "the table of cases is gone")];
    };
    let mut findings = Vec::new();
    let mut rows: BTreeMap<String, usize> = BTreeMap::new();
    for (index, line) in page.lines().enumerate() {
        let fault = |message: String| Finding::new(PAGE, index + 1, message);
        let Some([numbers, _, tests]) = cells(line) else {
            continue;
        };
        let Some(cases) = cases(numbers) else {
            findings.push(fault(format!("{numbers:?} is no number of a case")));
            continue;
        };
        for case in cases {
            if let Some(first) = rows.insert(case.clone(), index + 1) {
                findings.push(fault(format!(
                    "case {case} has a row in line {first} already"
                )));
            }
        }
        if tests.is_empty() {
            findings.push(fault(format!(
                "case {numbers} has neither a test nor a reason"
            )));
        }
        for test in tests.split('`').skip(1).step_by(2) {
            if test.contains("::") && !exists(test, text_of) {
                findings.push(fault(format!("there is no test {test}")));
            }
        }
    }
    for (letter, count) in COUNTS {
        for number in 1..=count {
            let case = format!("{letter}{number}");
            if !rows.contains_key(&case) {
                findings.push(Finding::new(PAGE, 1, format!("case {case} has no row")));
            }
        }
    }
    findings
}

/// The three cells of a row that is about cases; neither a heading nor prose.
fn cells(line: &str) -> Option<[&str; 3]> {
    let inner = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells: Vec<&str> = inner.split(" | ").collect();
    let cells: [&str; 3] = cells.try_into().ok()?;
    let is_heading = cells[0] == "Case" || cells[0].starts_with("---");
    (!is_heading).then_some(cells)
}

/// The cases of `41`, `43, 44`, `63–65` or `X21–X23`.
fn cases(text: &str) -> Option<Vec<String>> {
    let mut cases = Vec::new();
    for part in text.split(", ") {
        let (first, last) = part.split_once('–').unwrap_or((part, part));
        let letter = if first.starts_with('X') { "X" } else { "" };
        let number = |text: &str| text.strip_prefix(letter)?.parse::<usize>().ok();
        cases.extend((number(first)?..=number(last)?).map(|n| format!("{letter}{n}")));
    }
    Some(cases)
}

/// Whether `path.rs::name` is a test, or `module::name` a case of the suite.
pub(super) fn exists<'a>(test: &str, text_of: impl Fn(&str) -> Option<&'a str>) -> bool {
    let Some((place, name)) = test.rsplit_once("::") else {
        return false;
    };
    let function = |text: &str| text.find(&format!("fn {name}("));
    if place.ends_with(".rs") {
        let Some(text) = text_of(place) else {
            return false;
        };
        return function(text).is_some_and(|at| {
            // Between the end of what stands before it and the function stands its attribute.
            let own = text[..at]
                .lines()
                .rev()
                .take_while(|line| line.trim() != "}");
            own.map(str::trim)
                .any(|line| line == "#[test]" || line.starts_with("#[tokio::test"))
        });
    }
    let written = text_of(&format!("{CASES}{place}.rs")).and_then(function);
    // The list of the suite reads `module: name name name;`.
    let listed = text_of(SUITE).is_some_and(|suite| {
        let list = suite.split(&format!(" {place}: ")).nth(1);
        let names = list.and_then(|list| list.split(';').next());
        names.is_some_and(|names| names.split_whitespace().any(|known| known == name))
    });
    written.is_some() && listed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn messages(row: &str) -> Vec<String> {
        let all: String = COUNTS
            .iter()
            .map(|(letter, count)| {
                format!("| {letter}2–{letter}{count} | rest | none |\n| {letter}1 | one | none |\n")
            })
            .collect();
        let page = format!("| Case | What | Tests |\n| --- | --- | --- |\n{row}{all}");
        let files = [
            file(PAGE, &page),
            file(
                "tests/it/a.rs",
                "#[test]\nfn good() {\n}\n\nfn helper() {\n}\n",
            ),
            file(
                &format!("{CASES}publish.rs"),
                "pub async fn lifecycle() {}\npub async fn forgotten() {}\n",
            ),
            file(SUITE, "  publish: lifecycle\n   other;"),
        ];
        check(&files)
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    fn row(tests: &str) -> Vec<String> {
        // A second row for case 1 is a fault by itself.
        let found = messages(&format!("| 1 | what | {tests} |\n"));
        found
            .into_iter()
            .filter(|text| !text.contains("already"))
            .collect()
    }

    #[test]
    fn tests_that_exist_are_found() {
        assert_eq!(messages(""), Vec::<String>::new());
        assert!(row("`tests/it/a.rs::good`, `publish::lifecycle`").is_empty());
        for gone in [
            "tests/it/a.rs::gone",
            "tests/it/a.rs::helper",
            "tests/it/b.rs::good",
            "publish::gone",
            "publish::forgotten",
            "settle::lifecycle",
        ] {
            assert_eq!(
                row(&format!("`{gone}`")),
                [format!("there is no test {gone}")]
            );
        }
    }

    #[test]
    fn each_case_has_one_row() {
        let twice = messages("| 7 | what | none |\n");
        assert_eq!(twice.len(), 1, "{twice:?}");
        assert!(twice[0].contains("case 7 has a row in line 3"), "{twice:?}");
        let page = file(
            PAGE,
            "| 1–124 | all | none |\n| X1–X30 | all | none |\n| 1a | what | none |\n",
        );
        let found = check(&[page]);
        let messages: Vec<_> = found
            .iter()
            .map(|finding| finding.message.as_str())
            .collect();
        assert_eq!(
            messages,
            ["\"1a\" is no number of a case", "case X31 has no row"]
        );
    }
}
