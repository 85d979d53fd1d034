//! Database URLs: which database they mean, and how little of them is shown.

use std::fmt;
use std::path::PathBuf;

use events_core::{Error, Result};

use super::DatabaseKind;

const FORMS: &str =
    "sqlite:path, sqlite::memory:, postgres://… or oracle://user@host:port/service";

/// How the configuration says where the database is.
#[derive(Debug, Clone)]
pub(crate) enum UrlSource {
    /// As it stands.
    Url(SecretUrl),
    /// In this environment variable.
    Env(String),
}

/// A URL that may hold a password, so only its scheme is ever shown.
#[derive(Clone)]
pub(crate) struct SecretUrl(String);

/// What a URL means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// A SQLite file.
    File(PathBuf),
    /// A SQLite database in memory.
    Memory,
    /// A server; what else the URL says is read by its backend.
    Server(DatabaseKind),
}

impl Location {
    pub(crate) fn database(&self) -> DatabaseKind {
        match self {
            Self::File(_) | Self::Memory => DatabaseKind::Sqlite,
            Self::Server(kind) => *kind,
        }
    }
}

impl SecretUrl {
    pub(crate) fn new(url: String) -> Self {
        Self(url.trim().to_owned())
    }

    /// Reads the URL.
    ///
    /// # Errors
    /// `InvalidConfig` with the rule, and never with more of the URL than its scheme.
    pub(crate) fn parse(&self) -> Result<Location> {
        let Some((scheme, rest)) = self.0.split_once(':') else {
            return Err(refused(format!("no scheme; write {FORMS}")));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "sqlite" => sqlite(rest),
            "file" if rest == ":memory:" => Ok(Location::Memory),
            "postgres" | "postgresql" => server(DatabaseKind::Postgres, rest),
            "oracle" => server(DatabaseKind::Oracle, rest),
            _ => Err(refused(format!("unknown scheme{}; write {FORMS}", self.scheme()))),
        }
    }

    /// The scheme with a space before it. Empty unless `://` follows, because without it the text
    /// may be `user:password@host`.
    fn scheme(&self) -> String {
        match self.0.split_once("://") {
            Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                format!(" {scheme:?}")
            }
            _ => String::new(),
        }
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parse() {
            // A file's path is no secret, and worth seeing.
            Ok(Location::File(path)) => write!(f, "sqlite:{}", path.display()),
            Ok(Location::Memory) => f.write_str("sqlite::memory:"),
            Ok(Location::Server(DatabaseKind::Oracle)) => f.write_str("oracle://…"),
            Ok(Location::Server(_)) => f.write_str("postgres://…"),
            Err(_) => f.write_str("…"),
        }
    }
}

fn server(kind: DatabaseKind, rest: &str) -> Result<Location> {
    match rest.strip_prefix("//") {
        Some(rest) if !rest.is_empty() => Ok(Location::Server(kind)),
        _ => Err(refused(format!(
            "a {kind} URL has // and a host after its scheme"
        ))),
    }
}

fn sqlite(rest: &str) -> Result<Location> {
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    if let Some(query) = query {
        // Names only: a value may be a secret that was meant for another database.
        let names: Vec<_> = query
            .split('&')
            .map(|pair| pair.split('=').next().unwrap_or_default())
            .collect();
        return Err(refused(format!(
            "unknown parameter {:?}; a SQLite URL takes none, options are keys of the configuration",
            names.join(", ")
        )));
    }
    let path = match rest.strip_prefix("//") {
        Some(path) => {
            let first = path.split('/').next().unwrap_or_default();
            if first.contains('@') {
                return Err(refused(
                    "a SQLite URL has no user and no host; write sqlite:path".to_owned(),
                ));
            }
            path
        }
        None => rest,
    };
    if matches!(path, ":memory:" | "file::memory:") {
        return Ok(Location::Memory);
    }
    let path = decoded(path)?;
    if path.is_empty() || path.ends_with('/') {
        return Err(refused(
            "no file name; write sqlite:path, or sqlite::memory: for a database in memory".to_owned(),
        ));
    }
    Ok(Location::File(PathBuf::from(path)))
}

/// Undoes `%20` and the like.
fn decoded(text: &str) -> Result<String> {
    let bad = || {
        refused("a % that is not followed by two hex digits; write %25 for the sign itself".to_owned())
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(bad());
        };
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| bad())?);
    }
    match String::from_utf8(bytes) {
        Ok(path) if !path.contains('\0') => Ok(path),
        _ => Err(refused("a path that is not UTF-8 or holds a zero byte".to_owned())),
    }
}

fn refused(why: String) -> Error {
    Error::invalid_config(format!("the database URL has {why}").replace("has a SQLite URL has", "is refused: a SQLite URL has"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Location> {
        SecretUrl::new(url.to_owned()).parse()
    }
}
