//! The table of guarantees: each guarantee has a row, the tests that a row names exist, and at least
//! one of them carries the number of the guarantee.

use super::conformance::exists;
use super::{File, Finding};

const PAGE: &str = "docs/src/contributing/how-it-is-tested.md";
const HEADING: &str = "| Guarantee | Tests |";
/// Those of a queue on SQLite.
const COUNT: usize = 17;

/// Short names of folders, as the page explains them.
const FOLDERS: [(&str, &str); 5] = [
    ("processes/", "tests/processes/"),
    ("faults/", "tests/faults/"),
    ("it/", "tests/it/"),
    ("telemetry/", "tests/telemetry/"),
    ("cli/", "crates/events-cli/tests/"),
];

/// Checks the page against the tests among all files.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let text_of = |path: &str| {
        let file = files.iter().find(|file| file.path == path);
        file.map(|file| file.text.as_str())
    };
    let Some(page) = text_of(PAGE) else {
        return vec![Finding::new(PAGE, 1, "the table of guarantees is gone")];
    };
    let mut findings = Vec::new();
    let mut seen = [false; COUNT + 1];
    let lines = page.lines().enumerate();
    let table = lines.skip_while(|(_, line)| *line != HEADING).skip(2);
    for (index, line) in table.take_while(|(_, line)| line.starts_with("| ")) {
        let fault = |message: String| Finding::new(PAGE, index + 1, message);
        let number = line[2..].split(' ').next().unwrap_or_default();
        let tests: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        for test in tests.iter().filter(|test| test.contains("::")) {
            if !exists(&whole(test), text_of) {
                findings.push(fault(format!("there is no test {test}")));
            }
        }
        match number.parse::<usize>() {
            Ok(number) if (1..=COUNT).contains(&number) => {
                seen[number] = true;
                if !tests.iter().any(|test| carries(test, number)) {
                    findings.push(fault(format!("no test carries the number {number}")));
                }
            }
            _ => findings.push(fault(format!("{number:?} is no number of a guarantee"))),
        }
    }
    for (number, _) in seen.iter().enumerate().skip(1).filter(|(_, seen)| !**seen) {
        let message = format!("guarantee {number} has no row");
        findings.push(Finding::new(PAGE, 1, message));
    }
    findings
}

/// The path of a test from the root of the workspace.
fn whole(test: &str) -> String {
    let folder = FOLDERS.iter().find(|(short, _)| test.starts_with(short));
    match folder {
        Some((short, long)) => format!("{long}{}", &test[short.len()..]),
        None => test.to_owned(),
    }
}

/// Whether the name of a test begins with the number, or with several of which it is one; a name
/// such as `g1_to_g7_…` has all between.
fn carries(test: &str, number: usize) -> bool {
    let name = test.rsplit("::").next().unwrap_or_default();
    let mut words = name.split('_');
    let mut last = 0;
    let mut range = false;
    for word in words.by_ref() {
        match word.strip_prefix('g').map(str::parse::<usize>) {
            Some(Ok(n)) => {
                if n == number || range && (last..=n).contains(&number) {
                    return true;
                }
                (last, range) = (n, false);
            }
            _ if word == "to" => range = true,
            _ => break,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_name_are_read() {
        let numbers = |test| {
            (1..=COUNT)
                .filter(|n| carries(test, *n))
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers("it/a.rs::g3_an_event"), [3]);
        assert_eq!(numbers("faults/a.rs::g1_g2_what_is_g7"), [1, 2]);
        assert_eq!(
            numbers("cli/kill.rs::g1_to_g7_whoever"),
            [1, 2, 3, 4, 5, 6, 7]
        );
        assert_eq!(numbers("publish::lifecycle"), [0; 0]);
    }

    fn messages(skip: usize, tests: &str) -> Vec<String> {
        let rows = |tests: &str| -> String {
            let numbers = (1..=COUNT).filter(|n| *n != skip);
            numbers
                .map(|n| format!("| {n} what | {tests} |\n"))
                .collect()
        };
        let all = (1..=COUNT).map(|n| format!("`it/a.rs::g{n}_good`"));
        let all = all.collect::<Vec<_>>().join(", ");
        let page = format!(
            "{HEADING}\n| --- | --- |\n{}",
            rows(&format!("{all}{tests}"))
        );
        let tests: String = (1..=COUNT)
            .map(|n| format!("#[test]\nfn g{n}_good() {{\n}}\n\n"))
            .collect();
        let files = [(PAGE, page), ("tests/it/a.rs", tests)].map(|(path, text)| File {
            path: path.to_owned(),
            text,
        });
        check(&files)
            .into_iter()
            .map(|found| found.message)
            .collect()
    }

    #[test]
    fn each_guarantee_has_a_row_and_its_tests_exist() {
        assert_eq!(messages(0, ""), Vec::<String>::new());
        let gone = messages(0, ", `it/a.rs::gone`");
        assert_eq!(gone, vec!["there is no test it/a.rs::gone"; COUNT]);
        let found = messages(4, "");
        assert_eq!(found, ["guarantee 4 has no row"]);
    }
}
