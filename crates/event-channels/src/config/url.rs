//! Where the database is, read from a URL that is never shown again.

use std::fmt;
use std::path::PathBuf;

use events_core::{Error, Result};
#[cfg(any(feature = "pg-native", feature = "queue-pg"))]
use events_pg_native::{Endpoint, Pool};

const FORMS: &str = "sqlite:path/to/file.db, sqlite:///absolute/file.db, sqlite::memory:, postgres://user@host/database or oracle://user@host:port/service";

/// A database that a URL names.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    SqliteFile(PathBuf),
    SqliteMemory,
    Postgres(Server),
    #[cfg(feature = "queue-oracle")]
    Oracle(events_queue_oracle::Server),
}

impl Database {
    /// The name of the database's maker.
    pub(crate) fn product(&self) -> &'static str {
        match self {
            Self::SqliteFile(_) | Self::SqliteMemory => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
            #[cfg(feature = "queue-oracle")]
            Self::Oracle(_) => "Oracle",
        }
    }

    /// Whether it is a server's, whose tables are not made without being asked for.
    pub(crate) fn is_server(&self) -> bool {
        !matches!(self, Self::SqliteFile(_) | Self::SqliteMemory)
    }
}

/// How a server is reached. A URL may hold a password, so only the place is shown.
#[derive(Clone)]
pub(crate) struct Server {
    #[cfg_attr(
        not(any(feature = "pg-native", feature = "queue-pg")),
        expect(dead_code, reason = "read by the backends of PostgreSQL")
    )]
    pub(crate) way: Way,
    /// Host and database, for people.
    shown: String,
}

/// What the application gave.
#[derive(Clone)]
pub(crate) enum Way {
    #[cfg_attr(
        not(any(feature = "pg-native", feature = "queue-pg")),
        expect(dead_code, reason = "read by the backends of PostgreSQL")
    )]
    Url(String),
    #[cfg(any(feature = "pg-native", feature = "queue-pg"))]
    Endpoint(Endpoint),
    /// A pool to publish through, and where to listen.
    #[cfg(any(feature = "pg-native", feature = "queue-pg"))]
    Pool(Pool, Endpoint),
}

impl Server {
    /// An endpoint, or a pool with one.
    #[cfg(any(feature = "pg-native", feature = "queue-pg"))]
    pub(crate) fn at(endpoint: Endpoint, pool: Option<Pool>) -> Self {
        Self {
            shown: endpoint.shown(),
            way: match pool {
                Some(pool) => Way::Pool(pool, endpoint),
                None => Way::Endpoint(endpoint),
            },
        }
    }

    /// Where the server is.
    ///
    /// # Errors
    /// `InvalidConfig` for a URL that is not understood.
    #[cfg(any(feature = "pg-native", feature = "queue-pg"))]
    pub(crate) fn endpoint(&self) -> Result<Endpoint> {
        match &self.way {
            Way::Url(url) => Endpoint::parse(url),
            Way::Endpoint(endpoint) | Way::Pool(_, endpoint) => Ok(endpoint.clone()),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// A URL without its user, password and parameters.
#[derive(Clone)]
pub(crate) struct Url(pub(crate) Database);

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Database::SqliteFile(path) => write!(f, "sqlite:{}", path.display()),
            Database::SqliteMemory => f.write_str("sqlite::memory:"),
            Database::Postgres(server) => server.fmt(f),
            #[cfg(feature = "queue-oracle")]
            Database::Oracle(server) => server.fmt(f),
        }
    }
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(Error::invalid_config(format!(
                "the database URL has no scheme; write {FORMS}"
            )));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "sqlite" => sqlite(rest).map(Self),
            "file" if rest == ":memory:" => Ok(Self(Database::SqliteMemory)),
            "postgres" | "postgresql" => postgres(text, rest).map(Self),
            #[cfg(feature = "queue-oracle")]
            "oracle" => events_queue_oracle::Server::parse(text)
                .map(Database::Oracle)
                .map(Self),
            #[cfg(not(feature = "queue-oracle"))]
            "oracle" => Err(Error::new(
                events_core::ErrorKind::NotCompiled,
                events_core::Op::Open,
            )
            .because(
                "Oracle needs the feature \"queue-oracle\" of event-channels, which this build lacks",
            )),
            // Anything but a scheme that is one may be part of a password, and is not shown.
            _ if !rest.starts_with("//") => Err(Error::invalid_config(format!(
                "the database URL has no known scheme; write {FORMS}"
            ))),
            _ => Err(Error::invalid_config(format!(
                "the database URL has the unknown scheme {:?}; write {FORMS}",
                scheme.chars().take(32).collect::<String>()
            ))),
        }
    }
}

impl Url {
    /// A URL for the connection that listens.
    pub(crate) fn direct(text: &str) -> Result<Self> {
        let url = Self::parse(text).map_err(|error| {
            let detail = format!("direct_url: {}", error.detail().unwrap_or_default());
            error.because(detail)
        })?;
        match url.0 {
            Database::Postgres(_) => Ok(url),
            _ => Err(Error::invalid_config(
                "direct_url leads past a proxy to a PostgreSQL server; write postgres://user@host/database",
            )),
        }
    }
}

/// The server's part is checked by the backend; only what may be shown is taken out here.
fn postgres(text: &str, rest: &str) -> Result<Database> {
    let rest = rest.strip_prefix("//").ok_or_else(|| {
        Error::invalid_config(format!(
            "the database URL has no // behind its scheme; write {FORMS}"
        ))
    })?;
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    Ok(Database::Postgres(Server {
        way: Way::Url(text.to_owned()),
        shown: format!("postgres://{place}"),
    }))
}

fn sqlite(rest: &str) -> Result<Database> {
    if matches!(rest, ":memory:" | "file::memory:" | "//:memory:") {
        return Ok(Database::SqliteMemory);
    }
    if rest.starts_with(':') {
        return Err(Error::invalid_config(format!(
            "the database URL names no file and is not sqlite::memory:; write {FORMS}"
        )));
    }
    if rest.strip_prefix("//").is_some_and(|rest| {
        rest.split('/')
            .next()
            .is_some_and(|host| host.contains('@'))
    }) {
        return Err(Error::invalid_config(format!(
            "the database URL has a user or host, which a sqlite: URL cannot have; write {FORMS}"
        )));
    }
    let (path, query) = rest
        .split_once('?')
        .map_or((rest, None), |(path, query)| (path, Some(query)));
    if let Some(query) = query {
        let key = query.split(['=', '&']).next().unwrap_or_default();
        return Err(Error::invalid_config(format!(
            "the database URL has the parameter {key:?}; a sqlite: URL takes none, options are set by name"
        )));
    }
    let path = decode(path.strip_prefix("//").unwrap_or(path))?;
    if path.is_empty() {
        return Err(Error::invalid_config(format!(
            "the database URL names no file; write {FORMS}"
        )));
    }
    Ok(Database::SqliteFile(PathBuf::from(path)))
}

/// Replaces `%41` by the byte that it means.
fn decode(path: &str) -> Result<String> {
    let bad = || {
        Error::invalid_config(
            "the path in the database URL has a % that two hex digits do not follow, or is no UTF-8; write %25 for a %",
        )
    };
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest
            .get(..2)
            .and_then(|two| std::str::from_utf8(two).ok())
            .ok_or_else(bad)?;
        let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        let byte = u8::from_str_radix(digits, 16)
            .ok()
            .filter(|byte| hex && *byte != 0);
        bytes.push(byte.ok_or_else(bad)?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use events_core::ErrorKind;

    use super::*;

    #[test]
    fn forms() {
        for (url, shown) in [
            ("sqlite:app.db", "sqlite:app.db"),
            ("sqlite://app.db", "sqlite:app.db"),
            ("sqlite:///var/lib/app.db", "sqlite:/var/lib/app.db"),
            ("sqlite:/var/lib/app.db", "sqlite:/var/lib/app.db"),
            ("sqlite:a%20b%25.db", "sqlite:a b%.db"),
            ("SQLITE:app.db", "sqlite:app.db"),
            ("sqlite::memory:", "sqlite::memory:"),
            ("sqlite:file::memory:", "sqlite::memory:"),
            ("file::memory:", "sqlite::memory:"),
            ("Postgresql://h/d", "postgres://h/d"),
        ] {
            assert_eq!(format!("{:?}", Url::parse(url).unwrap()), shown, "{url}");
        }
    }

    #[test]
    fn an_oracle_server_is_shown_without_its_login_or_needs_its_feature() {
        let url = Url::parse("oracle://canary:canary@h:1522/s");
        let text = format!("{url:?}");
        assert!(!text.contains("canary"), "{text}");
        if cfg!(feature = "queue-oracle") {
            assert_eq!(text, "Ok(oracle://h:1522/s)");
        } else {
            assert!(text.contains("queue-oracle"), "{text}");
        }
    }

    #[test]
    fn a_direct_url_leads_to_a_server() {
        assert!(Url::direct("postgres://h/d").is_ok());
        let error = Url::direct("sqlite:app.db").unwrap_err();
        assert!(error.to_string().contains("postgres://"), "{error}");
        let error = Url::direct("mysql://h/d").unwrap_err();
        assert!(error.to_string().contains("direct_url: "), "{error}");
    }

    #[test]
    fn a_server_is_shown_without_its_login() {
        for url in [
            "postgres://u:canary@h:5433/d?password=canary",
            "postgresql://u:can@ary@h:5433/d",
            "postgres://h:5433/d#canary",
        ] {
            assert_eq!(
                format!("{:?}", Url::parse(url).unwrap()),
                "postgres://h:5433/d"
            );
        }
    }

    #[test]
    fn refused_without_showing_a_secret() {
        for (url, kind, hint) in [
            ("app.db", ErrorKind::InvalidConfig, "no scheme"),
            ("sqlite:", ErrorKind::InvalidConfig, "no file"),
            ("sqlite:a.db?mode=ro", ErrorKind::InvalidConfig, "\"mode\""),
            ("sqlite:a%2.db", ErrorKind::InvalidConfig, "%25"),
            ("sqlite:a%+f.db", ErrorKind::InvalidConfig, "%25"),
            ("sqlite:a%00.db", ErrorKind::InvalidConfig, "%25"),
            ("sqlite::mem", ErrorKind::InvalidConfig, "sqlite::memory:"),
            (
                "sqlite://u:canary@h/x.db",
                ErrorKind::InvalidConfig,
                "user or host",
            ),
            (
                "canary:pw@host/db",
                ErrorKind::InvalidConfig,
                "no known scheme",
            ),
            (
                "mysql://u:canary@h/d",
                ErrorKind::InvalidConfig,
                "\"mysql\"",
            ),
            ("postgres:canary", ErrorKind::InvalidConfig, "no //"),
        ] {
            let error = Url::parse(url).unwrap_err();
            assert_eq!(error.kind(), kind, "{url}");
            let text = format!("{error} {error:?}");
            assert!(
                text.contains(hint) || error.to_string().contains(hint),
                "{url}: {error}"
            );
            assert!(!text.contains("canary"), "{text}");
        }
    }
}
