//! The version of a server, and what it has.

use std::fmt;

/// The first three parts of a server's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion {
    major: u32,
    minor: u32,
    update: u32,
}

impl ServerVersion {
    /// A version from its parts.
    #[must_use]
    pub const fn new(major: u32, minor: u32, update: u32) -> Self {
        Self {
            major,
            minor,
            update,
        }
    }

    /// Whether it has the type JSON, and JSON that is neither object nor array: 21c and newer.
    #[must_use]
    pub const fn has_json(self) -> bool {
        self.major >= 21
    }

    /// How many bytes a name may have: 128 from 12.2 on, 30 before.
    #[must_use]
    pub const fn max_name_bytes(self) -> usize {
        if self.major > 12 || (self.major == 12 && self.minor >= 2) {
            128
        } else {
            30
        }
    }

    /// Whether it has columns that number themselves: 12.1 and newer.
    #[must_use]
    pub const fn has_identity(self) -> bool {
        self.major >= 12
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.update)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_version_has() {
        for (major, minor, json, name, identity) in [
            (11, 2, false, 30, false),
            (12, 1, false, 30, true),
            (12, 2, false, 128, true),
            (19, 0, false, 128, true),
            (21, 0, true, 128, true),
            (23, 0, true, 128, true),
        ] {
            let version = ServerVersion::new(major, minor, 0);
            assert_eq!(version.has_json(), json, "{version}");
            assert_eq!(version.max_name_bytes(), name, "{version}");
            assert_eq!(version.has_identity(), identity, "{version}");
        }
    }
}
