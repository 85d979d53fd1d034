//! Makes connections: one whose notifications are read, or one for a pool.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
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
/// How long a caller waits for a connection of a pool that is in use.
const POOL_PATIENCE: Duration = Duration::from_secs(10);

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

/// An [`Endpoint`] whose certificates are loaded: it makes connections, alone or for a pool.
///
/// Its `Debug` shows hosts and database, never the login.
#[derive(Clone)]
pub struct Connector {
    endpoint: Endpoint,
    dial: Arc<dyn Dial>,
}

impl Connector {
    /// Loads the certificates that the endpoint names, on a thread of its own, since files block.
    ///
    /// # Errors
    /// `InvalidConfig` for files that cannot be read or hold no certificate.
    pub async fn new(endpoint: Endpoint) -> Result<Self> {
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

    /// Makes one connection, driven by a task of the present tokio runtime until the client is
    /// dropped.
    ///
    /// # Errors
    /// `Auth`, `Tls`, `NotConfigured`, `Busy` or `Unavailable` for what the server or the way to
    /// it says, `Unsupported` for a server that is too old; each names the place and the way out.
    pub async fn client(&self, op: Op) -> Result<Client> {
        let link = self.connect(op).await?;
        let (client, driving) = driven(link);
        drop(driving);
        Ok(client)
    }

    /// A pool of at most `size` connections, of which none is made yet.
    ///
    /// # Errors
    /// `InvalidConfig` for a size of 0.
    pub fn pool(&self, size: usize) -> Result<Pool> {
        if size == 0 {
            let why = "pool_size must be at least 1, not 0";
            return Err(Error::invalid_config(why).in_backend(BACKEND));
        }
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager =
            Manager::from_connect((*self.endpoint.config).clone(), self.clone(), recycling);
        Pool::builder(manager)
            .max_size(size)
            .wait_timeout(Some(POOL_PATIENCE))
            .create_timeout(Some(self.patience()))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| {
                Error::invalid_config("the pool cannot be made")
                    .caused_by(error)
                    .in_backend(BACKEND)
            })
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

    /// The error with hosts and database in it.
    #[must_use]
    pub fn located(&self, error: Error) -> Error {
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
            let link = self.dial.dial(&self.endpoint.config).await?;
            Ok(driven(link))
        })
    }
}

/// A client whose connection is driven by a task; its notifications are dropped.
fn driven(mut link: Link) -> (Client, JoinHandle<()>) {
    let driving = tokio::spawn(async move {
        // What ends it is told to whoever uses the client.
        while let Some(Ok(_)) = link.messages.next().await {}
    });
    (link.client, driving)
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
