//! A suspect that was given back is nobody's, on each store.

use events_pg_native::Endpoint;
use events_queue::{Clock, MemoryStore, QueueConfig};
use events_queue_pg::PostgresConfig;
use events_queue_sqlite::SqliteConfig;
use events_testkit::suspect::is_nobodys_once_it_was_given_back;
use tokio::runtime::Runtime;

#[test]
fn in_the_reference() {
    let store = MemoryStore::with(Clock::system(), QueueConfig::default().retention);
    is_nobodys_once_it_was_given_back(&store);
}

#[test]
fn on_sqlite() {
    let (runtime, folder) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
    let config = SqliteConfig::file(folder.path().join("events.db"));
    let queue = events_queue_sqlite::open(config, runtime.handle()).unwrap();
    is_nobodys_once_it_was_given_back(queue.store());
}

#[test]
fn on_postgres() {
    let database = match events_testkit::postgres::database() {
        Ok(database) => database,
        Err(missing) => return missing.skip("suspect::on_postgres"),
    };
    let runtime = Runtime::new().unwrap();
    let config = PostgresConfig {
        auto_migrate: true,
        ..PostgresConfig::new(Endpoint::parse(database.url()).unwrap())
    };
    let opened = events_queue_pg::open(config, runtime.handle());
    let queue = runtime.block_on(opened).unwrap();
    is_nobodys_once_it_was_given_back(queue.store());
}
