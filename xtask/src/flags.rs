//! The arguments. Written by hand: `cargo xtask` is compiled before everything else, so it stays
//! small.

use std::ffi::OsString;

pub(crate) const USAGE: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  test [--long] [--install] [-- FILTER…]
          Run all tests, documentation tests included, and say what was skipped.
          --long     also run what takes minutes
          --install  install missing tools through the distribution
          FILTER     given to the test binaries as it is
  ci [--install]
          Run what CI runs, in its order; stop at the first failure.
  tidy    Check what no compiler checks: dependency direction, file sizes, module
          docs, where SQL is, released migrations.
  docs [--check]
          Build the API docs and the book and check their links.
          --check    check only, do not build the book
  oracle-sql [--install]
          Read every statement for Oracle by a grammar of PL/SQL; takes minutes.
          --install  bring the grammar from npm
  migrate ARGS…
          Run `events migrate ARGS…`.
  bench [--backend DB] [--case NAME] [--json] …
          Measure the library beside the raw limits of a database;
          `bench --help` names everything it takes.
  help    Print this text.";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Help,
    Test(TestOptions),
    Ci { install: bool },
    Tidy,
    Docs { check: bool },
    OracleSql { install: bool },
    Migrate(Vec<OsString>),
    Bench(Vec<OsString>),
}

/// How to run the tests.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TestOptions {
    /// Also run what takes minutes.
    pub(crate) long: bool,
    /// Install missing tools.
    pub(crate) install: bool,
    /// Given to the test binaries as it is.
    pub(crate) filter: Vec<OsString>,
}

impl Task {
    /// Reads the arguments after the program name.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter();
        let Some(command) = arguments.next() else {
            return Err("a command is missing".to_owned());
        };
        match command.to_string_lossy().as_ref() {
            "help" | "-h" | "--help" => Ok(Self::Help),
            "test" => parse_test(arguments),
            "ci" => {
                Ok(switch(arguments, "--install")?
                    .map_or(Self::Help, |install| Self::Ci { install }))
            }
            "tidy" => Ok(switch(arguments, "")?.map_or(Self::Help, |_| Self::Tidy)),
            "docs" => {
                Ok(switch(arguments, "--check")?.map_or(Self::Help, |check| Self::Docs { check }))
            }
            "oracle-sql" => Ok(switch(arguments, "--install")?
                .map_or(Self::Help, |install| Self::OracleSql { install })),
            // Not looked at, not even for `--help`: they belong to the command that is run.
            "migrate" => Ok(Self::Migrate(arguments.collect())),
            "bench" => Ok(Self::Bench(arguments.collect())),
            other => Err(format!("there is no command `{other}`")),
        }
    }
}

fn parse_test(mut arguments: impl Iterator<Item = OsString>) -> Result<Task, String> {
    let mut options = TestOptions::default();
    while let Some(argument) = arguments.next() {
        match argument.to_string_lossy().as_ref() {
            "--long" => options.long = true,
            "--install" => options.install = true,
            "--" => options.filter = arguments.by_ref().collect(),
            "-h" | "--help" => return Ok(Task::Help),
            other => {
                return Err(format!(
                    "unexpected argument `{other}`; filters go after `--`"
                ));
            }
        }
    }
    Ok(Task::Test(options))
}

/// Whether the only switch of a command is there; `None` when help is asked for.
fn switch(arguments: impl Iterator<Item = OsString>, name: &str) -> Result<Option<bool>, String> {
    let mut present = false;
    for argument in arguments {
        match argument.to_string_lossy().as_ref() {
            "-h" | "--help" => return Ok(None),
            given if given == name => present = true,
            other => return Err(format!("unexpected argument `{other}`")),
        }
    }
    Ok(Some(present))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Task, String> {
        Task::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn test_takes_switches_and_filters() {
        let task = parse("test --long -- claim --nocapture").unwrap();
        let expected = TestOptions {
            long: true,
            install: false,
            filter: vec!["claim".into(), "--nocapture".into()],
        };
        assert_eq!(task, Task::Test(expected));
    }

    #[test]
    fn migrate_and_bench_keep_their_arguments_as_they_are() {
        let task = parse("migrate up --help -- -x").unwrap();
        let expected = ["up", "--help", "--", "-x"].map(OsString::from).to_vec();
        assert_eq!(task, Task::Migrate(expected));
        let task = parse("bench --json --help").unwrap();
        let expected = ["--json", "--help"].map(OsString::from).to_vec();
        assert_eq!(task, Task::Bench(expected));
    }

    #[test]
    fn switches_of_other_commands_are_errors() {
        assert!(parse("tidy --install").is_err());
        assert!(parse("test claim").is_err());
        assert!(parse("ci --long").is_err());
        assert!(parse("").is_err());
        assert!(parse("tests").is_err());
    }

    #[test]
    fn help_is_never_an_error() {
        for line in [
            "help",
            "--help",
            "test --help",
            "ci -h",
            "tidy -h",
            "docs --help",
        ] {
            assert_eq!(parse(line), Ok(Task::Help), "{line}");
        }
    }
}
