//! Whether the path still leads to the file that was opened.
//!
//! SQLite goes on with the file that it has open, wherever it is: after the path was given to
//! another file, what is published would be stored where nobody looks, and the queue would look
//! empty. The file is only asked for its number, never opened: closing it again would drop the
//! locks of every connection of this process.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use events_core::{Error, ErrorKind, Op, Result};

use crate::error::BACKEND;

/// So long a look is good for: a publish without a flush takes little longer than a look.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The file that was opened.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    path: PathBuf,
    number: (u64, u64),
    /// When it was last found in its place; `None` after it was not.
    found: Option<Instant>,
}

impl Identity {
    /// The file that the path leads to, which was opened just now.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        // The folder of the process may change, and with it where a relative path leads.
        let path = std::path::absolute(path).map_err(|e| gone(path, e))?;
        let number = number(&path).map_err(|e| gone(&path, e))?;
        Ok(Self {
            path,
            number,
            found: Some(Instant::now()),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails unless the path still leads to the file; a look is not repeated at once.
    pub(crate) fn check(&mut self) -> Result<()> {
        let fresh = self.found.is_some_and(|at| at.elapsed() < LOOK_EVERY);
        if fresh { Ok(()) } else { self.check_now() }
    }

    /// Fails unless the path leads to the file at this moment.
    pub(crate) fn check_now(&mut self) -> Result<()> {
        self.found = None;
        let number = number(&self.path).map_err(|e| gone(&self.path, e))?;
        if number != self.number {
            return Err(failed(
                ErrorKind::Replaced,
                &self.path,
                "another file has taken the place of the one that was opened; shut the channel down and open it again",
            ));
        }
        self.found = Some(Instant::now());
        Ok(())
    }
}

/// The device and the number of the file that a path leads to.
fn number(path: &Path) -> io::Result<(u64, u64)> {
    let file = path.metadata()?;
    Ok((file.dev(), file.ino()))
}

fn gone(path: &Path, cause: io::Error) -> Error {
    let kind = ErrorKind::Unavailable;
    failed(kind, path, "the file has gone; bring it back").caused_by(cause)
}

fn failed(kind: ErrorKind, path: &Path, why: &str) -> Error {
    Error::new(kind, Op::Open)
        .because(format!("{}: {why}", path.display()))
        .in_backend(BACKEND)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_has_gone_can_come_back_and_another_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let [path, away] = ["app.db", "away.db"].map(|name| folder.path().join(name));
        fs::write(&path, "first").unwrap();
        let mut identity = Identity::of(&path).unwrap();
        identity.check_now().unwrap();

        fs::rename(&path, &away).unwrap();
        identity.check().expect("it was looked at just now");
        let error = identity.check_now().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("app.db"), "{error}");

        fs::write(&path, "second").unwrap();
        // A failed look is never good for the next one.
        let error = identity.check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Replaced);
        assert!(error.to_string().contains("app.db"), "{error}");

        fs::rename(&away, &path).unwrap();
        identity.check().unwrap();
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other, link] = ["one", "other", "link"].map(|name| folder.path().join(name));
        fs::write(&one, "").unwrap();
        fs::write(&other, "").unwrap();
        std::os::unix::fs::symlink(&one, &link).unwrap();
        let mut identity = Identity::of(&link).unwrap();
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();
        assert_eq!(
            identity.check_now().unwrap_err().kind(),
            ErrorKind::Replaced
        );
    }
}
