//! What the kernel says of a process: its memory, its time, its locks.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

/// So many looks do not all miss the same lock.
const LOOKS: usize = 50;

/// The most memory that a living process has had, in bytes.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn peak_memory(process: u32) -> u64 {
    let status = read(&format!("/proc/{process}/status"));
    let peak = status.lines().find_map(|line| {
        let kilobytes = line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?;
        kilobytes.parse::<u64>().ok()
    });
    peak.expect("a living process has a peak") * 1024
}

/// The time that the living threads of a process have run.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn run_time(process: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("the process lives");
    let times = tasks.filter_map(|task| {
        // A thread may end meanwhile.
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(times.sum())
}

/// Whether a process holds a POSIX lock on a file.
///
/// # Panics
/// When there is no such file.
#[must_use]
pub fn has_lock(process: u32, file: &Path) -> bool {
    let inode = fs::metadata(file)
        .unwrap_or_else(|e| panic!("{}: {e}", file.display()))
        .ino();
    // `1: POSIX  ADVISORY  READ 4711 fe:00:815 1073741826 1073742335`
    let is_its = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "POSIX", _, _, id, place, ..] = words[..] else {
            return false;
        };
        let number = place.rsplit(':').next().and_then(|n| n.parse().ok());
        id.parse() == Ok(process) && number == Some(inode)
    };
    // The list is told in pieces, and misses some when others lock and unlock between two of them.
    (0..LOOKS).any(|_| read("/proc/locks").lines().any(is_its))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"))
}
