//! A database for a test, and what only the stand-in can do.

use std::time::Duration;

use event_channels::{EventsConfig, Result};
use events_testkit::Missing;
use events_testkit::oracle::{Database, Server, database};

pub(crate) fn config(database: &Database) -> EventsConfig {
    EventsConfig::new(database.url())
        .unwrap()
        .queue_table(database.table())
        .auto_migrate(true)
        .name(database.table())
        .poll_interval(Duration::from_millis(50))
}

/// Runs a test on a database of its own, unless there is none.
pub(crate) fn with_database(test: &str, run: impl AsyncFnOnce(&Database) -> Result<()>) {
    match database() {
        Ok(database) => block_on(async { run(&database).await.unwrap() }),
        Err(missing) => missing.skip(test),
    }
}

/// Runs a test that tells the server how to misbehave, unless it is a real one.
pub(crate) fn with_standin(test: &str, run: impl AsyncFnOnce(&Database, &Server) -> Result<()>) {
    let database = match database() {
        Ok(database) => database,
        Err(missing) => return missing.skip(test),
    };
    match database.standin() {
        Some(server) => block_on(async { run(&database, server).await.unwrap() }),
        None => {
            Missing::new("oracle-standin", "a real server cannot be told to fail").skip(test);
        }
    }
}

/// Runs a test that only a real server can answer.
pub(crate) fn with_server(test: &str, run: impl AsyncFnOnce(&Database) -> Result<()>) {
    let database = match database() {
        Ok(database) => database,
        Err(missing) => return missing.skip(test),
    };
    if database.standin().is_some() {
        let why = "asks what Oracle does; set EVENTS_TEST_ORACLE_URL";
        return Missing::new("oracle-server", why).skip(test);
    }
    block_on(async { run(&database).await.unwrap() });
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(work);
}
