//! `cargo xtask oracle-sql`: every statement that is shipped for Oracle, read by a grammar.
//!
//! No server is needed, and none is replaced: a grammar knows no tables and no types. It is not in
//! CI, because it takes minutes and comes from another registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sh::{self, Result};

/// What is installed, at fixed versions: the grammar of ANTLR for PL/SQL, and its runtime.
const PACKAGES: &[&str] = &["@griffithswaite/ts-plsql-parser@1.1.1", "antlr4@4.13.0"];

const SCRIPT: &str = include_str!("oracle_sql.mjs");

/// Where the statements are.
const FOLDERS: &[&str] = &[
    "crates/events-queue-oracle/src/sql",
    "crates/events-oracle-aq/src/sql",
    "migrations/oracle",
    "migrations/oracle/aq",
];

/// Parses the statements; fails for one that the grammar refuses.
pub(crate) fn run(install: bool) -> Result<()> {
    let folder = folder();
    let grammar = folder.join("node_modules/@griffithswaite/ts-plsql-parser");
    for program in ["node", "npm"] {
        if !sh::on_path(program) {
            return Err(format!(
                "{program} not found: the grammar of PL/SQL runs on Node.js; install what Debian calls nodejs and npm"
            )
            .into());
        }
    }
    if !grammar.is_dir() {
        if !install {
            return Err(format!(
                "the grammar of PL/SQL is not installed; run with --install, which brings {} from npm",
                PACKAGES.join(" and ")
            )
            .into());
        }
        fs::create_dir_all(&folder)?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--prefix"]);
        sh::run(npm.arg(&folder).args(PACKAGES))?;
    }
    let script = folder.join("check.mjs");
    fs::write(&script, SCRIPT)?;
    let files = statements()?;
    println!("parsing {} files, which takes minutes", files.len());
    let mut node = Command::new("node");
    sh::run(node.current_dir(sh::root()).arg(script).args(files))
}

fn folder() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    sh::root().join(target).join("oracle-sql")
}

/// The files with statements, from the root on.
fn statements() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(sh::root().join(folder))? {
            let name = entry?.file_name();
            if Path::new(&name).extension().is_some_and(|end| end == "sql") {
                files.push(Path::new(folder).join(name));
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_of_every_folder_are_found() {
        let files = statements().unwrap();
        for folder in FOLDERS {
            let here = |file: &&PathBuf| file.parent() == Some(Path::new(folder));
            assert!(files.iter().any(|file| here(&file)), "{folder}");
        }
    }
}
