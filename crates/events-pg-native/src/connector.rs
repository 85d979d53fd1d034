//! Makes connections: one whose notifications are read, or one for a pool.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Connect;
use events_core::{Error, ErrorKind, Op, Result};
use futures_core::Stream;
use futures_util::{StreamExt as _, stream};
use tokio::task::JoinHandle;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::endpoint::{Endpoint, Tls};
use crate::error::{BACKEND, driver};

type DriverResult<T> = std::result::Result<T, tokio_postgres::Error>;
type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The oldest server that is served.
const OLDEST_SERVER: u32 = 14;

/// A TLS connector of any kind that tokio-postgres takes; implemented for all of them.
pub trait TlsConnector:
    MakeTlsConnect<Socket, Stream: Send, TlsConnect: TlsConnect<Socket, Future: Send> + Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<T> TlsConnector for T where
    T: MakeTlsConnect<Socket, Stream: Send, TlsConnect: TlsConnect<Socket, Future: Send> + Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// What the server sends without being asked; it must be polled for anything to happen.
pub(crate) type Messages = Pin<Box<dyn Stream<Item = DriverResult<AsyncMessage>> + Send>>;

/// A connection.
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) messages: Messages,
    version: Option<String>,
}

/// Connects with a TLS connector whose type is forgotten.
pub(crate) trait Dial: Send + Sync {
    fn dial<'a>(&'a self, config: &'a Config) -> BoxFuture<'a, DriverResult<Link>>;
}

pub(crate) struct Through<T>(pub(crate) T);

impl<T: TlsConnector> Dial for Through<T> {
    fn dial<'a>(&'a self, config: &'a Config) -> BoxFuture<'a, DriverResult<Link>> {
        let connector = self.0.clone();
        Box::pin(async move {
            let (client, mut connection) = config.connect(connector).await?;
            Ok(Link {
                client,
                version: connection.parameter("server_version").map(str::to_owned),
                messages: Box::pin(stream::poll_fn(move |cx| connection.poll_message(cx))),
            })
        })
    }
}

/// An [`Endpoint`] whose certificates are loaded.
#[derive(Clone)]
pub(crate) struct Connector {
    endpoint: Endpoint,
    dial: Arc<dyn Dial>,
}

impl Connector {
    /// Reads the certificates on a thread of its own, since files block.
    pub(crate) async fn new(endpoint: Endpoint) -> Result<Self> {
        let dial: Arc<dyn Dial> = match &endpoint.tls {
            Tls::Own(dial) => Arc::clone(dial),
            Tls::Options(options) => {
                let options = options.clone();
                let (answer, answered) = tokio::sync::oneshot::channel();
                std::thread::Builder::new()
                    .name("events-certificates".to_owned())
                    .spawn(move || {
                        let _ = answer.send(options.load());
                    })
                    .map_err(|e| {
                        Error::new(ErrorKind::Busy, Op::Open)
                            .because("no thread can be started")
                            .caused_by(e)
                    })?;
                let loaded = answered.await.unwrap_or_else(|_| {
                    Err(Error::new(ErrorKind::Backend, Op::Open)
                        .because("a bug in this library: loading certificates panicked"))
                });
                match loaded.map_err(|error| error.during(Op::Open).in_backend(BACKEND))? {
                    Some(config) => Arc::new(Through(MakeRustlsConnect::new(config))),
                    None => Arc::new(Through(NoTls)),
                }
            }
        };
        Ok(Self { endpoint, dial })
    }

    /// How long an attempt may take, as far as the endpoint says.
    pub(crate) fn patience(&self) -> Duration {
        let said = self.endpoint.config.get_connect_timeout().copied();
        said.unwrap_or(Duration::from_secs(5))
    }

    /// Hosts and database, for people.
    pub(crate) fn shown(&self) -> String {
        self.endpoint.shown()
    }

    /// Connects, within the time that the endpoint allows for the whole of it.
    pub(crate) async fn connect(&self, op: Op) -> Result<Link> {
        let dialled = self.dial.dial(&self.endpoint.config);
        let link = match tokio::time::timeout(self.patience(), dialled).await {
            Ok(Ok(link)) => link,
            Ok(Err(error)) => return Err(self.located(driver(op, error))),
            Err(_) => {
                let why = format!("no connection within {:?}", self.patience());
                let error = Error::new(ErrorKind::Unavailable, op).because(why);
                return Err(self.located(error.in_backend(BACKEND)));
            }
        };
        check_version(link.version.as_deref(), op).map_err(|error| self.located(error))?;
        Ok(link)
    }

    /// The error with the place in it.
    pub(crate) fn located(&self, error: Error) -> Error {
        let detail = error.detail().unwrap_or_default();
        let detail = format!("{}: {detail}", self.shown());
        error.because(detail)
    }
}

/// Refuses a server that lacks what is used. One that does not say its version passes.
fn check_version(version: Option<&str>, op: Op) -> Result<()> {
    let major = version.and_then(|text| text.split(['.', ' ']).next()?.parse::<u32>().ok());
    match (major, version) {
        (Some(major), Some(version)) if major < OLDEST_SERVER => {
            Err(Error::new(ErrorKind::Unsupported, op)
                .because(format!(
                    "this is PostgreSQL {version}; {OLDEST_SERVER} or newer is needed"
                ))
                .in_backend(BACKEND))
        }
        _ => Ok(()),
    }
}

impl Connect for Connector {
    fn connect(&self, _: &Config) -> BoxFuture<'_, DriverResult<(Client, JoinHandle<()>)>> {
        Box::pin(async move {
            let mut link = self.dial.dial(&self.endpoint.config).await?;
            let driving = tokio::spawn(async move {
                // What ends it is told to whoever uses the client.
                while let Some(Ok(_)) = link.messages.next().await {}
            });
            Ok((link.client, driving))
        })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_are_too_old_are_refused() {
        for good in [
            Some("14.0"),
            Some("15.18 (Debian 15.18-0+deb12u1)"),
            Some("19devel"),
            None,
        ] {
            assert!(check_version(good, Op::Open).is_ok(), "{good:?}");
        }
        let error = check_version(Some("13.4"), Op::Open).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("13.4") && error.to_string().contains("14"));
    }
}
