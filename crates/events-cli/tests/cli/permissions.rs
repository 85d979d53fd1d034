//! Files and folders that this user may not write, read or enter.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Output;

use events_testkit::Missing;

use crate::support::{command_of, fails, folder, lines, run};

/// The user `nobody`, whom every Linux knows.
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn names(folder: &Path) -> BTreeSet<OsString> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

/// Runs the command as a user whom modes apply to. Root may do everything, so as root the command
/// runs as `nobody`, from a copy that everybody can reach. `None` where that cannot be.
fn run_unprivileged(place: &Path, arguments: &[&str]) -> Option<Output> {
    let binary = Path::new(env!("CARGO_BIN_EXE_events"));
    if !is_root() {
        return Some(command_of(binary, place, arguments).output().unwrap());
    }
    let copy = place.join("events");
    if !copy.exists() {
        fs::copy(binary, &copy).unwrap();
        set_mode(&copy, 0o755);
        set_mode(place, 0o755);
    }
    let mut command = command_of(&copy, place, arguments);
    match command.uid(NOBODY).gid(NOBODY).output() {
        Ok(output) => Some(output),
        Err(e) => {
            let why = format!("no process of another user can be started: {e}");
            Missing::new("another user", why).skip("permissions::modes_are_respected_and_named");
            None
        }
    }
}

#[test]
fn modes_are_respected_and_named() {
    let place = folder();
    let folder = place.path().join("data");
    fs::create_dir(&folder).unwrap();
    lines(&run(&folder, &["publish", "orders", "1"]));
    let file = folder.join("events.db");
    let url = format!("sqlite:{}", file.display());
    let new = format!("sqlite:{}", folder.join("new.db").display());
    let (before, files) = (fs::read(&file).unwrap(), names(&folder));
    // A mode that keeps others from reading does not keep the owner from it.
    let unreadable = if is_root() { 0o600 } else { 0 };
    // Mode of the file, mode of the folder, URL, what is said.
    let cases = [
        (0o444, 0o777, &url, "it is not writable for this user"),
        (0o444, 0o755, &url, "it is not writable for this user"),
        (unreadable, 0o755, &url, "it is not readable for this user"),
        (
            0o666,
            0o555,
            &url,
            "the file or its folder is not writable for this user",
        ),
        (
            0o666,
            0o555,
            &new,
            "it does not exist, and its folder is not writable for this user",
        ),
        (
            0o666,
            0o600,
            &url,
            "its folder cannot be entered by this user",
        ),
    ];
    for (file_mode, folder_mode, url, hint) in cases {
        set_mode(&file, file_mode);
        set_mode(&folder, folder_mode);
        let commands = [
            &["publish", "orders", "2"][..],
            &["listen", "orders", "--timeout", "1"],
            &["migrate", "up"],
        ];
        let told = commands
            .map(|command| run_unprivileged(place.path(), &[&["--url", url], command].concat()));
        set_mode(&folder, 0o755);
        for output in told {
            let Some(output) = output else { return };
            let path = url.strip_prefix("sqlite:").unwrap();
            fails(&output, 4, &["permission denied", path, hint]);
        }
        assert_eq!(
            names(&folder),
            files,
            "nothing that its owner cannot use is left"
        );
    }
    set_mode(&file, 0o600);
    assert!(before == fs::read(&file).unwrap(), "the file was changed");
    let read = run(&folder, &["listen", "orders", "--count", "1"]);
    assert_eq!(lines(&read).len(), 1);
}
