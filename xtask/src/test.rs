//! `cargo xtask test`: all tests, and what was skipped.
//!
//! A test that skips when it runs writes `skipped: <test>: <reason>` to standard error, which
//! libtest swallows when the test passes, and appends the same line to the file that
//! `EVENTS_TEST_SKIP_LOG` names. That file is printed at the end.

use std::collections::BTreeSet;
use std::fs;

use crate::flags::TestOptions;
use crate::install;
use crate::sh::{self, Result};
use crate::sqlspec;

/// Runs the tests; fails if one of them does.
pub(crate) fn run(options: &TestOptions) -> Result<()> {
    let mut missing = install::ensure(options.install)?;
    missing.extend(sqlspec::ensure(options.install));
    let log = tempfile::NamedTempFile::new()?;
    // All test binaries run even if one fails: a list of failures is worth more than the first.
    let mut command = sh::cargo_at_root("test --workspace --all-features --no-fail-fast");
    command.env("EVENTS_TEST_SKIP_LOG", log.path());
    if options.long {
        command.env("EVENTS_TEST_LONG", "1");
    }
    if !options.filter.is_empty() {
        command.arg("--").args(&options.filter);
    }
    let done = sh::run(&mut command);
    let skipped = skipped_lines(&missing, &fs::read_to_string(log.path())?);
    print!("{}", report(&skipped));
    done
}

/// What was skipped, each line once, sorted.
fn skipped_lines(missing: &[String], log: &str) -> BTreeSet<String> {
    let logged = log.lines().filter(|line| !line.trim().is_empty());
    missing
        .iter()
        .map(String::as_str)
        .chain(logged)
        .map(str::to_owned)
        .collect()
}

fn report(skipped: &BTreeSet<String>) -> String {
    if skipped.is_empty() {
        return "\nno test skipped itself\n".to_owned();
    }
    let mut text = format!("\n{} skipped:\n", skipped.len());
    for line in skipped {
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_are_reported_once_each() {
        let missing = ["skipped: server tests: Server not installed".to_owned()];
        let log = "skipped: soak: takes minutes\n\nskipped: soak: takes minutes\n";
        let text = report(&skipped_lines(&missing, log));
        let expected = "\n2 skipped:\nskipped: server tests: Server not installed\n\
                        skipped: soak: takes minutes\n";
        assert_eq!(text, expected);
        assert_eq!(
            report(&skipped_lines(&[], "")),
            "\nno test skipped itself\n"
        );
    }
}
