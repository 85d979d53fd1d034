//! The bell file itself: opened only if it is safe to, rung, and locked by those who listen.
//!
//! A process that listens holds a shared POSIX lock on the file. The kernel tells a ringer whether
//! another process holds one, and drops it when that process ends, however it ends. So a program
//! that is alone on its database writes nothing. SQLite has no lock on this file; ours belong to
//! the process and go when *any* descriptor of the file is closed in it, which is why
//! [`super::shared`] keeps one for all.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, fcntl_lock};
use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};

use super::page::{BYTES, HEADER, Page, SELF_TEST_OFFSET, Slot};

/// An open bell file.
#[derive(Debug)]
pub(super) struct BellFile {
    file: File,
    device: u64,
    inode: u64,
}

impl BellFile {
    /// Opens the bell, or makes one with the mode and owner of the database.
    ///
    /// What is no regular file, has other names, or holds something else is refused: nothing that
    /// is not ours is ever written to.
    pub(super) fn open(path: &Path, database: &Path) -> io::Result<Self> {
        let file = match open(path, false, 0) {
            Err(e) if e.kind() == ErrorKind::NotFound => create(path, database)?,
            opened => opened?,
        };
        let found = file.metadata()?;
        check(&file, &found)?;
        Ok(Self {
            file,
            device: found.dev(),
            inode: found.ino(),
        })
    }

    /// Whether the path still leads to this file.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        fs::symlink_metadata(path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }

    /// Rings: `value` must never have been in this slot before.
    pub(super) fn ring(&self, slot: Slot, value: u64) -> io::Result<()> {
        self.file.write_all_at(&value.to_le_bytes(), slot.offset())
    }

    /// Writes where nobody is woken.
    pub(super) fn ring_nobody(&self, value: u64) -> io::Result<()> {
        self.file
            .write_all_at(&value.to_le_bytes(), SELF_TEST_OFFSET)
    }

    /// The slots; `None` if this is a bell no more.
    pub(super) fn page(&self) -> io::Result<Option<Page>> {
        let mut bytes = [0; BYTES];
        match self.file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(Page::parse(&bytes)),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Tells other processes that this one listens.
    pub(super) fn announce(&self) -> io::Result<()> {
        Ok(fcntl_lock(
            &self.file,
            FlockOperation::NonBlockingLockShared,
        )?)
    }

    /// Whether another process listens; in doubt, yes.
    pub(super) fn has_other_listeners(&self) -> bool {
        let whole_file = Flock {
            start: 0,
            length: 0,
            pid: None,
            typ: FlockType::WriteLock,
            offset_type: FlockOffsetType::Set,
        };
        !matches!(fcntl_getlk(&self.file, &whole_file), Ok(None))
    }
}

/// Opens without following a link, and without waiting for the other end of a pipe.
fn open(path: &Path, new: bool, mode: u32) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(new)
        .mode(mode)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path)
}

fn create(path: &Path, database: &Path) -> io::Result<File> {
    let like = fs::metadata(database)?;
    let mode = like.mode() & 0o666;
    match open(path, true, mode) {
        Ok(file) => {
            // Whoever may use the database may use its bell, whatever the umask says and whoever
            // comes first; SQLite does the same for its own files. Only root can give away.
            file.set_permissions(Permissions::from_mode(mode))?;
            let _ = std::os::unix::fs::fchown(&file, Some(like.uid()), Some(like.gid()));
            Ok(file)
        }
        // Another process was faster.
        Err(e) if e.kind() == ErrorKind::AlreadyExists => open(path, false, 0),
        Err(e) => Err(e),
    }
}

/// Refuses a foreign file; completes one whose maker did not come to it.
fn check(file: &File, found: &Metadata) -> io::Result<()> {
    let refused = |why: &str| Err(io::Error::new(ErrorKind::InvalidData, why));
    if !found.is_file() {
        return refused("it is no regular file");
    }
    if found.nlink() != 1 {
        return refused("it has another name too");
    }
    let mut begin = [0; HEADER.len()];
    let mut read = 0;
    while read < begin.len() {
        match file.read_at(&mut begin[read..], read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    if begin != *HEADER {
        if begin.iter().any(|byte| *byte != 0) {
            return refused("it holds something else");
        }
        file.write_all_at(HEADER, 0)?;
    }
    if found.len() < BYTES as u64 {
        // Twice does no harm: it only ever grows to this length.
        file.set_len(BYTES as u64)?;
    }
    Ok(())
}
