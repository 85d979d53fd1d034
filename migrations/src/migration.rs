//! One numbered change of the tables, and back.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// What precedes the number in every id; the same as in the tables of SQLSpec.
const ID_PREFIX: &str = "ext_events_";

/// A change of the tables, and how to undo it.
///
/// Once released it is never edited: ledgers in users' databases hold its checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migration {
    /// The name in the ledger, like `ext_events_0001`; ids sort in the order of application.
    pub id: &'static str,
    /// What it does, like `create_event_queue`.
    pub name: &'static str,
    /// The SQL that applies it, written for the default table.
    pub up: &'static str,
    /// The SQL that reverts it, written for the default table.
    pub down: &'static str,
}

impl Migration {
    /// Returns the SHA-256 of the SQL that applies it, as 64 hex digits.
    ///
    /// Line ends do not count, because git may change them in a checkout.
    #[must_use]
    pub fn checksum(&self) -> String {
        let mut text = String::with_capacity(64);
        for byte in Sha256::digest(self.up.replace("\r\n", "\n")) {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// The name of the file that applies it.
    pub(crate) fn up_file(&self) -> String {
        format!("{}_{}.up.sql", self.number(), self.name)
    }

    /// The name of the file that reverts it.
    pub(crate) fn down_file(&self) -> String {
        format!("{}_{}.down.sql", self.number(), self.name)
    }

    fn number(&self) -> &'static str {
        self.id.trim_start_matches(ID_PREFIX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(up: &'static str) -> Migration {
        Migration {
            id: "ext_events_0042",
            name: "add_things",
            up,
            down: "",
        }
    }

    #[test]
    fn the_checksum_is_that_of_sha256sum() {
        // Of the three bytes `abc`, from the standard that defines the hash.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(migration("abc").checksum(), abc);
    }

    #[test]
    fn the_checksum_sees_words_and_not_line_ends() {
        let unix = migration("a\nb\n").checksum();
        assert_eq!(migration("a\r\nb\r\n").checksum(), unix);
        assert_ne!(migration("a\nb").checksum(), unix);
    }

    #[test]
    fn files_are_named_as_in_the_repository() {
        assert_eq!(migration("").up_file(), "0042_add_things.up.sql");
        assert_eq!(migration("").down_file(), "0042_add_things.down.sql");
    }
}
