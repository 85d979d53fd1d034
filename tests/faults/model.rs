//! The queue on an SQLite file does what the reference store does.

use std::path::Path;

use events_queue::{Clock, QueueConfig};
use events_queue_sqlite::SqliteConfig;
use tokio::runtime::Handle;

#[test]
fn a_file_agrees_with_the_reference_store() {
    events_testkit::model::agrees_with_the_reference(|| {
        let folder = folder_in_memory();
        move |queue: QueueConfig, clock: Clock| {
            let config = SqliteConfig {
                queue,
                clock,
                ..SqliteConfig::file(folder.path().join("events.db"))
            };
            events_queue_sqlite::open(config, &Handle::current()).unwrap()
        }
    });
}

/// What a disk keeps is another test's subject, and this one opens a thousand files.
fn folder_in_memory() -> tempfile::TempDir {
    match Path::new("/dev/shm") {
        memory if memory.is_dir() => tempfile::tempdir_in(memory).unwrap(),
        _ => tempfile::tempdir().unwrap(),
    }
}
