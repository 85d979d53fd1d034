//! The tools that tests need beside Rust: how each is found, and which package of the distribution
//! brings it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sh::{self, Result};

/// A tool; adding one is one row in [`TOOLS`].
#[derive(Debug)]
pub(crate) struct Tool {
    /// What people call it.
    name: &'static str,
    /// The program that shows that it is there: on `PATH` …
    program: &'static str,
    /// … or in one of these folders; a part may be `*`.
    folders: &'static [&'static str],
    /// The package of Debian and its descendants.
    package: &'static str,
    /// Files that must exist before the package is installed: path and content.
    files: &'static [(&'static str, &'static str)],
    /// Why it is needed.
    why: &'static str,
    /// The tests that are skipped without it; `None` if nothing can be built without it.
    skips: Option<&'static str>,
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "C compiler",
        program: "cc",
        folders: &[],
        package: "build-essential",
        files: &[],
        why: "SQLite is compiled from source",
        skips: None,
    },
    Tool {
        name: "PostgreSQL",
        program: "initdb",
        folders: &["/usr/lib/postgresql/*/bin"],
        package: "postgresql",
        // Tests make clusters of their own; the distribution's would only be in the way.
        files: &[(
            "/etc/postgresql-common/createcluster.conf",
            "create_main_cluster = false\n",
        )],
        why: "tests of PostgreSQL start servers of their own",
        skips: Some("tests on PostgreSQL"),
    },
    Tool {
        name: "PgBouncer",
        program: "pgbouncer",
        folders: &["/usr/sbin"],
        package: "pgbouncer",
        files: &[],
        why: "a pooler by transaction is what LISTEN does not work through",
        skips: Some("tests through a pooler"),
    },
    Tool {
        name: "Python",
        program: "python3",
        folders: &[],
        package: "python3-venv",
        files: &[],
        why: "SQLSpec, which events are exchanged with, is in Python",
        skips: Some("the exchange with SQLSpec"),
    },
    Tool {
        name: "strace",
        program: "strace",
        folders: &[],
        package: "strace",
        files: &[],
        why: "it counts flushes, makes writes fail, and sees which files a process opens",
        skips: Some("tests that look at system calls or make them fail"),
    },
    Tool {
        name: "valgrind",
        program: "valgrind",
        folders: &[],
        package: "valgrind",
        files: &[],
        why: "--long looks for invalid access through Oracle's C interface",
        skips: Some("the look at memory of the tests of Oracle's queues"),
    },
];

/// Sees to it that the tools are there. Returns a line for each group of tests that will be
/// skipped; a tool that nothing can be built without is an error.
pub(crate) fn ensure(install: bool) -> Result<Vec<String>> {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| !present(tool)).collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let why_not = if install {
        apt_get(&missing)?
    } else {
        Some("run with --install".to_owned())
    };
    let mut skips = Vec::new();
    for tool in missing {
        if present(tool) {
            continue;
        }
        let advice = why_not.as_deref().unwrap_or("its package did not bring it");
        skips.push(line_for_missing(tool, advice)?);
    }
    Ok(skips)
}

fn line_for_missing(tool: &Tool, advice: &str) -> Result<String> {
    let Tool {
        name, program, why, ..
    } = tool;
    match tool.skips {
        Some(tests) => Ok(format!("skipped: {tests}: {name} not installed; {advice}")),
        None => Err(format!("{name} (`{program}`) not found; {why}; {advice}").into()),
    }
}

/// Installs the packages, or says why it cannot.
fn apt_get(tools: &[&Tool]) -> Result<Option<String>> {
    let packages: Vec<&str> = tools.iter().map(|tool| tool.package).collect();
    if !sh::on_path("apt-get") {
        let packages = packages.join(" ");
        return Ok(Some(format!(
            "no apt-get here; install what Debian calls {packages}"
        )));
    }
    let user = sh::output(Command::new("id").arg("-u"))?;
    if user.trim() != "0" {
        let packages = packages.join(" ");
        return Ok(Some(format!(
            "not root; run: apt-get install -y {packages}"
        )));
    }
    for tool in tools {
        println!("installing {} ({}): {}", tool.name, tool.package, tool.why);
        for (path, content) in tool.files {
            write_if_absent(Path::new(path), content)?;
        }
    }
    sh::run(apt().arg("update"))?;
    sh::run(
        apt()
            .args(["install", "-y", "--no-install-recommends"])
            .args(packages),
    )?;
    Ok(None)
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    // Nobody is there to answer questions.
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// The machine's owner may have decided otherwise: what is there stays.
fn write_if_absent(path: &Path, content: &str) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content)
        .map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

fn present(tool: &Tool) -> bool {
    sh::on_path(tool.program)
        || tool
            .folders
            .iter()
            .flat_map(|pattern| expand(pattern))
            .any(|folder| sh::is_file(&folder, tool.program))
}

/// The folders that an absolute pattern names.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = match part {
            "*" => found.iter().flat_map(|folder| entries(folder)).collect(),
            name => found.iter().map(|folder| folder.join(name)).collect(),
        };
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Tool = Tool {
        name: "Server",
        program: "serverd",
        folders: &[],
        package: "server",
        files: &[],
        why: "its tests talk to it",
        skips: Some("server tests"),
    };

    #[test]
    fn a_missing_server_skips_and_a_missing_compiler_fails() {
        let line = line_for_missing(&SERVER, "run with --install").unwrap();
        assert_eq!(
            line,
            "skipped: server tests: Server not installed; run with --install"
        );
        let compiler = Tool {
            skips: None,
            ..SERVER
        };
        assert!(line_for_missing(&compiler, "run with --install").is_err());
    }

    #[test]
    fn programs_are_found_in_versioned_folders() {
        let root = tempfile::tempdir().unwrap();
        for version in ["14", "15"] {
            fs::create_dir_all(root.path().join(version).join("bin")).unwrap();
        }
        fs::write(root.path().join("15/bin/serverd"), "").unwrap();
        let pattern = format!("{}/*/bin", root.path().display());
        let folders = expand(&pattern);
        assert_eq!(folders.len(), 2);
        assert!(folders.iter().any(|folder| sh::is_file(folder, "serverd")));
        assert!(!present(&SERVER));
    }

    #[test]
    fn a_file_that_is_there_stays() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("etc/server.conf");
        write_if_absent(&path, "ours\n").unwrap();
        write_if_absent(&path, "other\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "ours\n");
    }
}
