//! Where the database is, read from a URL that is never shown again.

use std::fmt;
use std::path::PathBuf;

use events_core::{Error, ErrorKind, Op, Result};

const FORMS: &str = "sqlite:path/to/file.db, sqlite:///absolute/file.db, sqlite::memory: or postgres://user@host/database";

/// A database that a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    SqliteFile(PathBuf),
    SqliteMemory,
    Postgres(Server),
}

impl Database {
    /// The name of the database's maker.
    pub(crate) fn product(&self) -> &'static str {
        match self {
            Self::SqliteFile(_) | Self::SqliteMemory => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }
}

/// The URL of a server, which may hold a password and is not shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Server {
    url: String,
    /// Host and database, for people.
    shown: String,
}

impl Server {
    /// The URL as it was written.
    #[cfg(feature = "queue-pg")]
    pub(crate) fn url(&self) -> &str {
        &self.url
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
            "oracle" => Err(not_compiled("Oracle")),
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

fn not_compiled(database: &str) -> Error {
    Error::new(ErrorKind::NotCompiled, Op::Configure).because(format!(
        "this version has no backend for {database}; it serves {FORMS}"
    ))
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
        url: text.to_owned(),
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
    use super::*;

    #[test]
    fn forms() {
        let file = |path: &str| Database::SqliteFile(PathBuf::from(path));
        for (url, database) in [
            ("sqlite:app.db", file("app.db")),
            ("sqlite://app.db", file("app.db")),
            ("sqlite:///var/lib/app.db", file("/var/lib/app.db")),
            ("sqlite:/var/lib/app.db", file("/var/lib/app.db")),
            ("sqlite:a%20b%25.db", file("a b%.db")),
            ("SQLITE:app.db", file("app.db")),
            ("sqlite::memory:", Database::SqliteMemory),
            ("sqlite:file::memory:", Database::SqliteMemory),
            ("file::memory:", Database::SqliteMemory),
        ] {
            assert_eq!(Url::parse(url).unwrap().0, database, "{url}");
        }
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
            ("oracle://u:canary@h/d", ErrorKind::NotCompiled, "Oracle"),
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
