//! The bell: how a commit of one process wakes the consumers of another at once.
//!
//! Beside the database stands the file `<database>-events-bell`. After the COMMIT of something
//! that can be claimed, eight bytes of it are written; every process with consumers watches the
//! file and wakes those whose channel was meant. The file holds no event and no name, SQLite never
//! touches it, and losing it costs at most the interval of the [`floor`].
//!
//! - `page`: what the file holds.
//! - `file`: opening it safely, ringing it, and knowing whether anybody listens.
//! - `watch`: being told that it was written to.
//! - `shared`: the one bell of each database that a process has open.
//! - `ringer`: what a writer rings after its commit.
//! - `watcher`, `ear`: the thread that listens, and to what.
//! - `floor`: finds commits that rang nothing.

mod ear;
mod file;
mod floor;
mod page;
mod ringer;
mod shared;
#[cfg(test)]
mod tests;
mod watch;
mod watcher;

pub(crate) use ringer::{Ring, Ringer};
pub(crate) use watch::{MakeWatch, Watch};
