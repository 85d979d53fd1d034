//! Listening to one bell file: what was rung since the last look.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use super::file::BellFile;
use super::page::{Page, Rung};
use super::shared::Shared;
use super::watch::{Seen, Watch};

/// A bell file that is watched, and what its slots held at the last look.
pub(super) struct Ear {
    file: Arc<BellFile>,
    watch: Watch,
    page: Page,
}

/// What there was to hear.
pub(super) enum Heard {
    /// Nothing that concerns anybody.
    Nothing,
    /// These slots.
    Rung(Rung),
    /// Perhaps more than can be told, and the bell may have been replaced.
    Anything,
    /// The file is a bell no more.
    NoBell,
}

impl Ear {
    /// Begins to listen, and tells others so. What was rung before is not heard.
    pub(super) fn new(shared: &Shared, file: Arc<BellFile>) -> io::Result<Self> {
        let watch = shared.make_watch()?;
        // Watched is what the path leads to now.
        if !file.is_at(shared.path()) {
            return Err(io::Error::other("it was replaced just now"));
        }
        file.announce()?;
        let page = file
            .page()?
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(Self { file, watch, page })
    }

    pub(super) fn is_on(&self, file: &Arc<BellFile>) -> bool {
        Arc::ptr_eq(&self.file, file)
    }

    pub(super) fn announce(&self) -> io::Result<()> {
        self.file.announce()
    }

    /// Can be read from when there may be something to hear.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }

    /// What was rung since the last look.
    pub(super) fn hear(&mut self) -> Heard {
        let seen = match self.watch.take() {
            Ok(seen) if seen == Seen::default() => return Heard::Nothing,
            Ok(seen) => seen,
            Err(_) => return Heard::NoBell,
        };
        // Read after the notices are taken, so that a ring in between is noticed again.
        let Ok(Some(page)) = self.file.page() else {
            return Heard::NoBell;
        };
        let rung = page.rung_since(&self.page);
        self.page = page;
        if seen.moved || seen.missed {
            Heard::Anything
        } else if rung.is_empty() {
            Heard::Nothing
        } else {
            Heard::Rung(rung)
        }
    }
}
