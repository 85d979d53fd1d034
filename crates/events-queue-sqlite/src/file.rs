//! The database file: made, opened, and told why that cannot be.
//!
//! A file that exists is opened by SQLite alone: opening and closing it here would drop the locks
//! of every connection of this process.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use events_core::{Error, ErrorKind, Op, Result};
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::error::{BACKEND, sqlite};

/// Opens a file to write; it is made when it does not exist.
pub(crate) fn open(path: &Path) -> Result<Connection> {
    create_private(path)?;
    let connection = open_existing(path)?;
    // Before the first look into it, which would leave a log that its owner cannot write.
    if connection
        .is_readonly("main")
        .map_err(|e| sqlite(Op::Open, e))?
    {
        return Err(forbidden(
            "it is not writable for this user; change its mode",
        ));
    }
    Ok(connection)
}

/// Opens a file that exists, to read only if no more is allowed.
pub(crate) fn open_existing(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(|e| {
        // SQLite does not say why.
        if path.is_dir() {
            sqlite(Op::Open, e).because("it is a folder; name a file in it")
        } else if access(path, Access::READ_OK) == Err(Errno::ACCESS) {
            forbidden("it is not readable for this user; change its mode").caused_by(e)
        } else {
            sqlite(Op::Open, e)
        }
    })
}

/// Whether there is such a file; an error if that cannot be seen.
pub(crate) fn exists(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|e| match e.kind() {
        io::ErrorKind::PermissionDenied => {
            forbidden("its folder cannot be entered by this user; change its mode").caused_by(e)
        }
        _ => failed(ErrorKind::Unavailable, "its path leads nowhere", e),
    })
}

/// A new database belongs to its user alone.
fn create_private(path: &Path) -> Result<()> {
    if exists(path)? {
        return Ok(());
    }
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let Err(error) = made else { return Ok(()) };
    match error.kind() {
        io::ErrorKind::AlreadyExists => Ok(()),
        io::ErrorKind::PermissionDenied => Err(forbidden(
            "it does not exist, and its folder is not writable for this user",
        )
        .caused_by(error)),
        io::ErrorKind::NotFound => Err(failed(
            ErrorKind::NotConfigured,
            "its folder does not exist; create it first",
            error,
        )),
        _ => Err(failed(
            ErrorKind::Unavailable,
            "it cannot be created",
            error,
        )),
    }
}

fn forbidden(why: &'static str) -> Error {
    Error::new(ErrorKind::Permission, Op::Open)
        .because(why)
        .in_backend(BACKEND)
}

fn failed(kind: ErrorKind, why: &'static str, cause: io::Error) -> Error {
    Error::new(kind, Op::Open)
        .because(why)
        .caused_by(cause)
        .in_backend(BACKEND)
}
