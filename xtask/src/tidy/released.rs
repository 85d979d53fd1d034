//! A migration that has been released is never edited: ledgers in users' databases hold its
//! checksum. `migrations/released.txt` lists such files in the form of `sha256sum`, one per line,
//! with paths from its own folder.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::Finding;
use crate::sh::Result;

const LIST: &str = "migrations/released.txt";

/// Checks the list of this folder; without one nothing has been released.
pub(super) fn check_folder(folder: &Path) -> Result<Vec<Finding>> {
    let list = folder.join("released.txt");
    if !list.exists() {
        return Ok(Vec::new());
    }
    let list = fs::read_to_string(list)?;
    Ok(check(&list, |path| fs::read(folder.join(path)).ok()))
}

/// Checks the lines of a list; `read` gives the bytes of a file if there is one.
fn check(list: &str, read: impl Fn(&str) -> Option<Vec<u8>>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in list.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let message = match line.split_once("  ") {
            None => Some("not `<sha256>  <path>`, the form of sha256sum".to_owned()),
            Some((released, path)) => match read(path) {
                None => Some(format!("{path} is gone, released migrations stay")),
                Some(bytes) if sha256(&bytes) != released => {
                    Some(format!("{path} was edited, add a new migration instead"))
                }
                Some(_) => None,
            },
        };
        findings.extend(message.map(|message| Finding::new(LIST, index + 1, message)));
    }
    findings
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the three bytes `abc`, from the standard that defines the hash.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn messages(list: &str) -> Vec<String> {
        let read = |path: &str| (path == "sqlite/1.sql").then(|| b"abc".to_vec());
        check(list, read).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_untouched_file_passes() {
        assert!(messages(&format!("# Released.\n\n{ABC}  sqlite/1.sql\n")).is_empty());
    }

    #[test]
    fn edits_and_removals_are_found() {
        let other = ABC.replace('b', "c");
        assert_eq!(
            messages(&format!(
                "{other}  sqlite/1.sql\n{ABC}  sqlite/2.sql\nabc\n"
            )),
            [
                "migrations/released.txt:1: sqlite/1.sql was edited, add a new migration instead",
                "migrations/released.txt:2: sqlite/2.sql is gone, released migrations stay",
                "migrations/released.txt:3: not `<sha256>  <path>`, the form of sha256sum",
            ]
        );
    }

    #[test]
    fn no_list_means_nothing_released() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_folder(folder.path()).unwrap().is_empty());
    }
}
