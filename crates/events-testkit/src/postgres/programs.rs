//! Where the server's programs are, and whom they run as.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User};

use crate::Missing;

/// Where Debian and its descendants keep the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The server's programs, and the account that runs them.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    folder: PathBuf,
    /// The server refuses to run as root, so root steps down to this account.
    account: Option<(u32, u32)>,
}

impl Programs {
    /// Finds them.
    pub(super) fn find() -> Result<Self, Missing> {
        let missing = |why: &str| Missing::new("postgres", why);
        let folder = on_path()
            .or_else(newest)
            .ok_or_else(|| missing("PostgreSQL not installed; run with --install"))?;
        let account = if Uid::effective().is_root() {
            let user = User::from_name("postgres").ok().flatten();
            let user = user.ok_or_else(|| {
                missing("root cannot run PostgreSQL and there is no user postgres")
            })?;
            Some((user.uid.as_raw(), user.gid.as_raw()))
        } else {
            None
        };
        Ok(Self { folder, account })
    }

    /// A command that runs one of the programs.
    pub(super) fn command(&self, program: &str) -> Command {
        self.stepped_down(Command::new(self.path(program)))
    }

    /// The same command, run by the account that may run a server.
    pub(super) fn stepped_down(&self, mut command: Command) -> Command {
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        // The folder of a test binary need not be open to that account.
        command.current_dir("/");
        command
    }

    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    /// A new folder that belongs to the account. It is removed by the [`Supervisor`]
    /// (super::supervisor::Supervisor) of what runs in it.
    pub(super) fn new_folder(&self) -> std::io::Result<PathBuf> {
        let folder = tempfile::Builder::new()
            .prefix("events-test-")
            .tempdir_in(self.base())?
            .keep();
        self.give(&folder)?;
        Ok(folder)
    }

    /// Hands a file or folder to the account.
    pub(super) fn give(&self, path: &Path) -> std::io::Result<()> {
        match self.account {
            Some((user, group)) => chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    /// A folder for temporary files that the account may enter.
    fn base(&self) -> PathBuf {
        let own = std::env::temp_dir();
        let open = own
            .ancestors()
            .all(|folder| fs::metadata(folder).is_ok_and(|m| m.permissions().mode() & 0o001 != 0));
        if self.account.is_none() || open {
            own
        } else {
            PathBuf::from("/tmp")
        }
    }
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|folder| complete(folder))
}

/// The newest version in Debian's folder.
fn newest() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN).ok()?;
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| complete(&path.join("bin")))
        .max_by_key(|path| version(path));
    newest.map(|path| path.join("bin"))
}

fn complete(folder: &Path) -> bool {
    ["initdb", "postgres"]
        .iter()
        .all(|program| folder.join(program).is_file())
}
