//! The server that the tests of one binary share, and databases of their own on it.

use std::sync::OnceLock;

use super::client::{Rows, query};
use super::server::{Server, ServerOptions};
use crate::Missing;

/// A server that is there already; a password in it is not shown by anything here.
const EXTERNAL: &str = "EVENTS_TEST_POSTGRES_URL";

static SHARED: OnceLock<Result<Server, Missing>> = OnceLock::new();

/// A database that nobody else uses. It is dropped with this.
#[derive(Debug)]
pub struct Database {
    url: String,
    /// Where it can be dropped from, on a server that stays.
    external: Option<(String, String)>,
}

/// A new, empty database on the shared server, which is started for the first one.
///
/// # Errors
/// [`Missing`] when PostgreSQL is not installed and no server is named.
///
/// # Panics
/// When the server cannot be started or reached.
pub fn database() -> Result<Database, Missing> {
    if let Ok(admin) = std::env::var(EXTERNAL) {
        return Ok(on_external(admin));
    }
    let shared = SHARED.get_or_init(|| Server::start(&ServerOptions::new()));
    let server = shared.as_ref().map_err(Clone::clone)?;
    Ok(Database {
        url: server.database(),
        external: None,
    })
}

fn on_external(admin: String) -> Database {
    let name = format!("events_test_{}", event_channels::EventId::new());
    query(&admin, &format!("CREATE DATABASE {name}"));
    let (server, options) = admin.split_once('?').unwrap_or((&admin, ""));
    let (scheme, rest) = server.split_once("://").unwrap_or(("postgres", server));
    let host = rest.split('/').next().unwrap_or(rest);
    let url = format!("{scheme}://{host}/{name}?{options}");
    Database {
        url,
        external: Some((admin, name)),
    }
}

impl Database {
    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs statements in it.
    pub fn query(&self, sql: &str) -> Rows {
        query(&self.url, sql)
    }
}

impl Drop for Database {
    /// The shared server is removed with everything on it; another one is left as it was.
    fn drop(&mut self) {
        if let Some((admin, name)) = &self.external
            && !std::thread::panicking()
        {
            query(admin, &format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}
