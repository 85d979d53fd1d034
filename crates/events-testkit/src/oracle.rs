//! Oracle for tests: a server that `EVENTS_TEST_ORACLE_URL` names, else the stand-in for one.
//!
//! The driver loads one client library for a process, so tests of Oracle have a binary of their
//! own; the stand-in is never loaded where a server is named.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use event_channels::{EventId, EventsConfig};
use events_oracle_session::oracle::InitParams;
use events_oracle_session::{Server as Login, Session};
use events_oracle_standin::install;
pub use events_oracle_standin::{Plan, Server};

use crate::Missing;

const URL: &str = "EVENTS_TEST_ORACLE_URL";

/// Where the stand-in is loaded from.
static LIBRARY: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    let folder = tempfile::Builder::new()
        .prefix("events-oracle-")
        .tempdir()
        .map_err(|error| error.to_string())?
        .keep();
    install(&folder).map_err(|error| error.to_string())?;
    InitParams::new()
        .oracle_client_lib_dir(&folder)
        .and_then(|params| params.init())
        .map_err(|error| error.to_string())?;
    Ok(folder)
});

/// Tables of a test's own, dropped with it.
#[derive(Debug)]
pub struct Database {
    url: String,
    table: String,
    standin: Option<Server>,
}

impl Database {
    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The queue table, which nobody else uses.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The stand-in's server, to be told how to misbehave; none on a real server.
    #[must_use]
    pub fn standin(&self) -> Option<&Server> {
        self.standin.as_ref()
    }
}

/// A database for one test.
///
/// # Errors
/// [`Missing`] when the stand-in was not built or is not for this system.
pub fn database() -> Result<Database, Missing> {
    let name = EventId::new().to_string();
    let table = format!("t{}", &name[name.len() - 16..]);
    if let Ok(url) = std::env::var(URL) {
        return Ok(Database {
            url,
            table,
            standin: None,
        });
    }
    let missing = |why: String| Missing::new("oracle", why);
    let library: &Path = LIBRARY.as_ref().map_err(|why| missing(why.clone()))?;
    let server =
        Server::create(library, &format!("s{name}")).map_err(|error| missing(error.to_string()))?;
    Ok(Database {
        url: format!("oracle://app:tiger@standin:1521/{}", server.service()),
        table,
        standin: Some(server),
    })
}

/// A session of its own, to ask the server what the library does not.
///
/// # Errors
/// Those of logging in.
pub fn session(database: &Database) -> event_channels::Result<Session> {
    Session::connect(&Login::parse(&database.url)?, "test", None)
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(server) = &self.standin {
            let _ = std::fs::remove_dir_all(server.folder());
            return;
        }
        let drop_tables = async {
            let config = EventsConfig::new(&*self.url)?.queue_table(&*self.table);
            config.migrate_down().await
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        if let Ok(runtime) = runtime {
            let _ =
                std::thread::scope(|scope| scope.spawn(|| runtime.block_on(drop_tables)).join());
        }
    }
}
