//! Where a server is and how it is reached, from a URL that is never shown again.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use events_core::{Error, Result};
use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode as DriverMode, TargetSessionAttrs};

use crate::connector::{Dial, Through, TlsConnector};
use crate::tls::{SslMode, TlsOptions};

const FORMS: &str = "postgres://user@host:5432/database, with ?host=/folder for a socket";

/// How long one attempt to connect may take, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After this much silence the kernel asks whether the other side lives, and how often.
const KEEPALIVE: (Duration, u32) = (Duration::from_secs(5), 3);
/// The driver's default, by which an endpoint that says nothing about keepalive is known.
const DRIVER_KEEPALIVE: Duration = Duration::from_secs(2 * 60 * 60);

/// A PostgreSQL server, a database on it and a login.
///
/// Its `Debug` shows hosts and database, never the login.
#[derive(Clone)]
pub struct Endpoint {
    pub(crate) config: Arc<Config>,
    pub(crate) tls: Tls,
}

/// How connections are encrypted.
#[derive(Clone)]
pub(crate) enum Tls {
    /// As the URL says.
    Options(TlsOptions),
    /// By a connector of the application.
    Own(Arc<dyn Dial>),
}

impl Endpoint {
    /// Reads a URL, `postgres://` or `postgresql://`, with the parameters of libpq that
    /// tokio-postgres knows, and these:
    ///
    /// | Parameter | Meaning |
    /// | --- | --- |
    /// | `sslmode` | `disable`, `require` (encrypted, server not checked), `verify-ca` or `verify-full` |
    /// | `sslrootcert` | a file of certificates to trust, or `system`, the default |
    /// | `sslcert`, `sslkey` | files with the client's certificate and its key, both in PEM |
    ///
    /// Without `sslmode`, `verify-full` is used for every host but this machine, where it is
    /// `disable`. `require` with `sslrootcert` means `verify-ca`, as in libpq. `prefer` and `allow`
    /// are refused, because whoever stands between can turn them into `disable`.
    ///
    /// Where the URL says nothing else, an attempt to connect takes at most 5 s, a dead connection
    /// is noticed by keepalive within 20 s, and of several hosts the one that takes writes is used.
    ///
    /// # Errors
    /// `InvalidConfig`, without a part of the URL that could be a secret.
    pub fn parse(url: &str) -> Result<Self> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        // An unescaped ? in a password would make the rest of it a parameter.
        if query.contains('@') {
            return Err(Error::invalid_config(
                "the parameters of the database URL hold an @; write ? as %3F and @ as %40 in a password",
            ));
        }
        let (tls, rest) = tls_parameters(query)?;
        let url = format!("{base}?{}", rest.join("&"));
        let mut config: Config = url.parse().map_err(|error| refused(&error))?;
        with_defaults(&mut config)?;
        let tls = tls.resolve(is_here(&config))?;
        config.ssl_mode(match tls.mode {
            SslMode::Disable => DriverMode::Disable,
            _ => DriverMode::Require,
        });
        Ok(Self {
            config: Arc::new(config),
            tls: Tls::Options(tls),
        })
    }

    /// A configuration of the driver's own kind, and the TLS connector to use with it, such as
    /// `tokio_postgres::NoTls`. Nothing is added to them.
    pub fn with_connector<T: TlsConnector>(config: Config, connector: T) -> Self {
        Self {
            config: Arc::new(config),
            tls: Tls::Own(Arc::new(Through(connector))),
        }
    }

    /// Whether this is a copy of the other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }

    /// Hosts and database, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        let ports = self.config.get_ports();
        let addresses = self.config.get_hostaddrs().iter().map(IpAddr::to_string);
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(folder) => folder.display().to_string(),
        });
        let hosts: Vec<_> = if self.config.get_hosts().is_empty() {
            addresses.collect()
        } else {
            hosts.collect()
        };
        let with_port = |(at, host): (usize, &String)| {
            let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
            format!("{host}:{port}")
        };
        let hosts: Vec<_> = hosts.iter().enumerate().map(with_port).collect();
        let database = self.config.get_dbname().unwrap_or_default();
        format!("postgres://{}/{database}", hosts.join(","))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// What the URL says of TLS, and the parameters that are left for the driver.
fn tls_parameters(query: &str) -> Result<(TlsOptions, Vec<&str>)> {
    let mut tls = TlsOptions::default();
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !TlsOptions::KEYS.contains(&key) {
            rest.push(pair);
            continue;
        }
        let value = percent_decode_str(value)
            .decode_utf8()
            .map_err(|_| Error::invalid_config(format!("{key} in the database URL is no UTF-8")))?;
        tls.set(key, &value)?;
    }
    Ok((tls, rest))
}

/// The driver's reason names a parameter, never its value.
fn refused(error: &tokio_postgres::Error) -> Error {
    let reason = std::error::Error::source(error).map(ToString::to_string);
    let reason = reason.unwrap_or_else(|| error.to_string());
    Error::invalid_config(format!(
        "the database URL is not understood: {reason}; write {FORMS}"
    ))
}

fn with_defaults(config: &mut Config) -> Result<()> {
    let hosts = config.get_hosts().len().max(config.get_hostaddrs().len());
    let odd = |host: &Host| matches!(host, Host::Tcp(name) if name.contains(['@', ':']) && name.parse::<IpAddr>().is_err());
    if config.get_hosts().iter().any(odd) {
        return Err(Error::invalid_config(
            "a host in the database URL holds an @ or a second colon; write @ as %40 and : as %3A in a password",
        ));
    }
    if hosts == 0 {
        return Err(Error::invalid_config(format!(
            "the database URL names no host; write {FORMS}"
        )));
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_keepalives_idle() == DRIVER_KEEPALIVE {
        let (silence, times) = KEEPALIVE;
        config.keepalives_idle(silence);
        config.keepalives_interval(silence);
        config.keepalives_retries(times);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(KEEPALIVE.0 * (KEEPALIVE.1 + 1));
    }
    if config.get_application_name().is_none() {
        config.application_name("event-channels");
    }
    // A standby can neither send nor listen.
    if hosts > 1 && config.get_target_session_attrs() == TargetSessionAttrs::Any {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    Ok(())
}

/// Whether every host is this machine, so that nobody stands between.
fn is_here(config: &Config) -> bool {
    let addresses = config.get_hostaddrs();
    if !addresses.is_empty() {
        return addresses.iter().all(IpAddr::is_loopback);
    }
    config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        match Endpoint::parse(url).unwrap().tls {
            Tls::Options(options) => options.mode,
            Tls::Own(_) => unreachable!("a URL brings no connector"),
        }
    }

    #[test]
    fn the_server_is_verified_unless_it_is_this_machine() {
        for (url, expected) in [
            ("postgres://localhost/db", SslMode::Disable),
            ("postgresql://u:p@127.0.0.1:5433/db", SslMode::Disable),
            ("postgres://[::1]/db", SslMode::Disable),
            ("postgres:///db?host=/var/run/postgresql", SslMode::Disable),
            ("postgres://db.example.org/db", SslMode::VerifyFull),
            (
                "postgres://localhost,db.example.org/db",
                SslMode::VerifyFull,
            ),
            ("postgres://db/db?hostaddr=127.0.0.1", SslMode::Disable),
            (
                "postgres://localhost/db?hostaddr=10.0.0.1",
                SslMode::VerifyFull,
            ),
            (
                "postgres://db.example.org/db?sslmode=disable",
                SslMode::Disable,
            ),
            ("postgres://localhost/db?sslmode=require", SslMode::Require),
            (
                "postgres://localhost/db?sslmode=verify-ca",
                SslMode::VerifyCa,
            ),
            (
                "postgres://h/d?sslmode=require&sslrootcert=%2Fa%20b",
                SslMode::VerifyCa,
            ),
        ] {
            assert_eq!(mode(url), expected, "{url}");
        }
    }

    #[test]
    fn unknown_and_unsafe_urls_are_refused_without_a_secret() {
        for (url, hint) in [
            ("postgres:///db", "no host"),
            ("postgres://u:canary@h/d?sslmode=prefer", "require"),
            ("postgres://u:canary@h/d?sslmode=allow", "require"),
            ("postgres://u:canary@h/d?sslmode=verify", "verify-full"),
            ("postgres://u:canary@h/d?frobnicate=canary", "frobnicate"),
            (
                "postgres://u:canary@h/d?connect_timeout=canary",
                "connect_timeout",
            ),
            ("postgres://u:pa?canary=@h/d", "%3F"),
            ("postgres://u:pa@canary@h/d", "%40"),
            ("postgres://u:p@canary:1:2/d", "not understood"),
            ("postgres://h/d?sslcert=/only/one", "sslkey"),
            ("postgres://h/d?sslmode=disable&sslrootcert=/a", "disable"),
        ] {
            let error = Endpoint::parse(url).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(error.to_string().contains(hint), "{url}: {error}");
            assert!(!text.contains("canary"), "{text}");
        }
    }

    #[test]
    fn shown_without_the_login() {
        let endpoint =
            Endpoint::parse("postgres://user:canary@one:6000,two/db?port=6000,6001").unwrap();
        let text = format!("{endpoint:?}");
        assert!(text.contains("one:6000") && text.ends_with("/db"), "{text}");
        assert!(!text.contains("canary") && !text.contains("user"), "{text}");
    }

    #[test]
    fn what_the_url_says_comes_before_the_defaults() {
        let quiet = Endpoint::parse("postgres://a,b/db").unwrap().config;
        assert_eq!(quiet.get_connect_timeout(), Some(&CONNECT_TIMEOUT));
        assert_eq!(quiet.get_keepalives_idle(), KEEPALIVE.0);
        assert_eq!(quiet.get_application_name(), Some("event-channels"));
        assert_eq!(
            quiet.get_target_session_attrs(),
            TargetSessionAttrs::ReadWrite
        );
        let url = "postgres://a/db?connect_timeout=9&keepalives_idle=60&application_name=me";
        let own = Endpoint::parse(url).unwrap().config;
        assert_eq!(own.get_connect_timeout(), Some(&Duration::from_secs(9)));
        assert_eq!(own.get_keepalives_idle(), Duration::from_secs(60));
        assert_eq!(own.get_application_name(), Some("me"));
        assert_eq!(own.get_target_session_attrs(), TargetSessionAttrs::Any);
    }
}
