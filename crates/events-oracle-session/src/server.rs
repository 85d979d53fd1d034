//! Where an Oracle database is, and the login, read from a URL whose password is never shown.

use std::fmt;

use events_core::{Error, ErrorKind, Op, Result};
use percent_encoding::percent_decode_str;

/// The environment variable that holds the password of a URL without one.
pub const PASSWORD_VARIABLE: &str = "EVENTS_ORACLE_PASSWORD";

const FORM: &str = "oracle://user[:password]@host[:port]/service";
const PORT: u16 = 1521;
/// How long a connection may take until the server speaks, and how long the network's part of it.
pub(crate) const CONNECT_SECONDS: u64 = 10;
const TRANSPORT_SECONDS: u64 = 5;

/// A database and the login for it. `Debug` and errors show neither user nor password.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    user: String,
    password: Option<String>,
    host: String,
    port: u16,
    service: String,
}

impl Server {
    /// Reads `oracle://user[:password]@host[:port]/service`; `%41` in user and password stands for
    /// the byte. The port is 1521 unless it is named.
    ///
    /// # Errors
    /// `InvalidConfig` that says which part is wrong and shows no secret.
    pub fn parse(url: &str) -> Result<Self> {
        let scheme = "oracle://";
        let rest = url
            .get(..scheme.len())
            .filter(|found| found.eq_ignore_ascii_case(scheme))
            .map(|_| &url[scheme.len()..])
            .ok_or_else(|| bad("does not begin with oracle://"))?;
        let (login, place) = rest.rsplit_once('@').ok_or_else(|| bad("names no user"))?;
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(decode(password)?)),
            None => (login, None),
        };
        let user = decode(user)?;
        if user.is_empty() {
            return Err(bad("names no user"));
        }
        if place.contains(['?', '#']) {
            return Err(bad(
                "has parameters, of which it takes none; options are set by name",
            ));
        }
        let (address, service) = place
            .split_once('/')
            .filter(|(_, service)| !service.is_empty())
            .ok_or_else(|| bad("names no service"))?;
        let (host, port) = host_and_port(address)?;
        // What is left is put into a connect string, so nothing may end its place in there.
        let plain = |text: &str, extra: &[u8]| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
        };
        if !plain(host.trim_matches(['[', ']']), b".-_:") {
            return Err(bad("has a host that is no name or address"));
        }
        if !plain(service, b"._-$#") {
            return Err(bad(
                "has a service that is not made of letters, digits, dots, hyphens, _, $ and #",
            ));
        }
        Ok(Self {
            user,
            password: password.filter(|password| !password.is_empty()),
            host: host.to_owned(),
            port,
            service: service.to_owned(),
        })
    }

    /// The same with this password.
    #[must_use]
    pub fn with_password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into()).filter(|password| !password.is_empty());
        self
    }

    /// Whether a password was given, by the URL or by [`Server::with_password`].
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Host, port and service, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("oracle://{}:{}/{}", self.host, self.port, self.service)
    }

    /// The user, which is also the schema of names without one.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// The password: of the URL or the option, else of the environment.
    ///
    /// # Errors
    /// `InvalidConfig` when there is none.
    pub(crate) fn password(&self) -> Result<String> {
        if let Some(password) = &self.password {
            return Ok(password.clone());
        }
        std::env::var(PASSWORD_VARIABLE)
            .ok()
            .filter(|password| !password.is_empty())
            .ok_or_else(|| {
                Error::new(ErrorKind::InvalidConfig, Op::Open).because(format!(
                    "there is no password for {}: put it into the URL, the variable that the option password_env names, or the environment variable {PASSWORD_VARIABLE}",
                    self.shown()
                ))
            })
    }

    /// The place as Oracle's client wants it. Without the limits a host that does not answer is
    /// waited for as long as the operating system does.
    pub(crate) fn connect_string(&self) -> String {
        let host = self.host.trim_matches(['[', ']']);
        format!(
            "(DESCRIPTION=(CONNECT_TIMEOUT={CONNECT_SECONDS})(TRANSPORT_CONNECT_TIMEOUT={TRANSPORT_SECONDS})(RETRY_COUNT=0)(ADDRESS=(PROTOCOL=TCP)(HOST={host})(PORT={}))(CONNECT_DATA=(SERVICE_NAME={})))",
            self.port, self.service
        )
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

fn host_and_port(address: &str) -> Result<(&str, u16)> {
    let colon = match address.rfind(']') {
        // Colons before the bracket are those of an address.
        Some(end) => address[end..].find(':').map(|at| end + at),
        None => address.find(':'),
    };
    match colon {
        None => Ok((address, PORT)),
        Some(at) => address[at + 1..]
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .map(|port| (&address[..at], port))
            .ok_or_else(|| bad("has a port that is not between 1 and 65535")),
    }
}

fn decode(text: &str) -> Result<String> {
    percent_decode_str(text)
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| bad("has a user or password that is no UTF-8 once its %41 are read"))
}

fn bad(what: &str) -> Error {
    Error::invalid_config(format!("the database URL {what}; write {FORM}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (url, user, password, place) in [
            (
                "oracle://app:pw@h:1522/s",
                "app",
                Some("pw"),
                ("h", 1522, "s"),
            ),
            ("ORACLE://app@h/s.x", "app", None, ("h", 1521, "s.x")),
            ("oracle://app:@h/s", "app", None, ("h", 1521, "s")),
            (
                "oracle://a%40b:p%2Fw%25@[::1]:7/S$1",
                "a@b",
                Some("p/w%"),
                ("::1", 7, "S$1"),
            ),
            (
                "oracle://app:a@b:c@h/s",
                "app",
                Some("a@b:c"),
                ("h", 1521, "s"),
            ),
        ] {
            let server = Server::parse(url).unwrap();
            assert_eq!(server.user(), user, "{url}");
            assert_eq!(server.password.as_deref(), password, "{url}");
            let (host, port, service) = place;
            assert_eq!(
                server.connect_string(),
                format!(
                    "(DESCRIPTION=(CONNECT_TIMEOUT=10)(TRANSPORT_CONNECT_TIMEOUT=5)(RETRY_COUNT=0)\
                     (ADDRESS=(PROTOCOL=TCP)(HOST={host})(PORT={port}))\
                     (CONNECT_DATA=(SERVICE_NAME={service})))"
                )
            );
        }
    }

    #[test]
    fn nothing_of_the_login_is_shown() {
        let server = Server::parse("oracle://canary:canary@h:7/s").unwrap();
        assert_eq!(format!("{server:?}"), "oracle://h:7/s");
        assert_eq!(server.with_password("x").password().unwrap(), "x");
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_shown() {
        for (url, hint) in [
            ("mysql://u:canary@h/s", "oracle://"),
            ("oracle://h/s", "no user"),
            ("oracle://:canary@h/s", "no user"),
            ("oracle://u:canary@h", "no service"),
            ("oracle://u:canary@h/", "no service"),
            ("oracle://u:canary@h:0/s", "port"),
            ("oracle://u:canary@h:x/s", "port"),
            ("oracle://u:canary@/s", "host"),
            ("oracle://u:canary@h)(x/s", "host"),
            ("oracle://u:canary@h/s)(", "service"),
            ("oracle://u:canary@h/s?wallet=canary", "parameters"),
            ("oracle://u:%ffcanary@h/s", "UTF-8"),
        ] {
            let error = Server::parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{url}");
            let text = format!("{error} {error:?}");
            assert!(text.contains(hint), "{url}: {error}");
            assert!(!text.contains("canary"), "{text}");
        }
    }
}
