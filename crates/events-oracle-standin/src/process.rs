//! Whether a process still runs: the sessions of one that does not are rolled back.

use std::fs;

/// A process as no later one can be mistaken for it: its id and the time it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) begun: i64,
}

impl Process {
    pub(crate) fn this() -> Self {
        let id = std::process::id();
        Self {
            id,
            begun: begun(id).unwrap_or_default(),
        }
    }

    pub(crate) fn runs(self) -> bool {
        begun(self.id) == Some(self.begun)
    }
}

/// When the process began, in ticks since the machine did; `None` when it is gone or only waited for.
fn begun(id: u32) -> Option<i64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name of the program is in parentheses and may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    fields.get(19)?.parse().ok()
}
