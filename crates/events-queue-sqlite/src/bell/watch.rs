//! Being told by the kernel that the bell file was written to, moved or deleted.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What happened since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seen {
    /// The file was written to.
    pub(super) written: bool,
    /// It may have been moved, deleted or given other rights.
    pub(super) moved: bool,
    /// The kernel dropped notices.
    pub(super) missed: bool,
}

/// A watch on one file.
#[derive(Debug)]
pub(crate) struct Watch(OwnedFd);

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// How a watch is made; a test puts one in place that cannot be.
pub(crate) type MakeWatch = fn(&Path) -> io::Result<Watch>;

#[cfg(target_os = "linux")]
impl Watch {
    /// Watches the file that `path` leads to, never through a link.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // A file that this process has open is not gone when it is deleted: its count of names
        // changes, which is a change of its attributes.
        let flags = WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::MOVE_SELF
            | WatchFlags::DELETE_SELF
            | WatchFlags::DONT_FOLLOW;
        add_watch(&inotify, path, flags)?;
        Ok(Self(inotify))
    }

    /// Takes all notices that wait.
    pub(super) fn take(&self) -> io::Result<Seen> {
        use rustix::fs::inotify::{ReadFlags, Reader};
        let mut seen = Seen::default();
        let mut buffer = [std::mem::MaybeUninit::uninit(); 1024];
        let mut reader = Reader::new(&self.0, &mut buffer);
        loop {
            match reader.next() {
                Ok(notice) => {
                    let what = notice.events();
                    seen.written |= what.contains(ReadFlags::MODIFY);
                    seen.missed |= what.contains(ReadFlags::QUEUE_OVERFLOW);
                    seen.moved |= what.intersects(
                        ReadFlags::ATTRIB
                            | ReadFlags::MOVE_SELF
                            | ReadFlags::DELETE_SELF
                            | ReadFlags::IGNORED
                            | ReadFlags::UNMOUNT,
                    );
                }
                Err(Errno::AGAIN) => return Ok(seen),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Watch {
    /// Only Linux is served; elsewhere commits of other processes are found by polling.
    pub(crate) fn new(_: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn take(&self) -> io::Result<Seen> {
        Ok(Seen::default())
    }
}

/// Waits until one of the files can be read or the time is over; answers whether the last can.
pub(super) fn wait_readable(files: &[BorrowedFd<'_>], at_most: Duration) -> io::Result<bool> {
    let mut waiting: Vec<_> = files
        .iter()
        .map(|file| PollFd::from_borrowed_fd(*file, PollFlags::IN))
        .collect();
    let time = Timespec::try_from(at_most).unwrap_or(Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    });
    match poll(&mut waiting, Some(&time)) {
        Ok(_) => Ok(waiting
            .last()
            .is_some_and(|last| !last.revents().is_empty())),
        Err(Errno::INTR) => Ok(false),
        Err(e) => Err(e.into()),
    }
}
