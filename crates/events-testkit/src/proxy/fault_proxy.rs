//! The proxy: what it is told, and whom it tells.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::connection;

/// Where the proxy leads.
#[derive(Debug, Clone)]
pub enum Upstream {
    /// To a port.
    Tcp(SocketAddr),
    /// To a socket in the file system.
    Unix(PathBuf),
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
    /// Both ways.
    Both,
}

/// How bytes are handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flow {
    /// At once.
    #[default]
    Pass,
    /// After this time.
    Delay(Duration),
    /// One at a time.
    Trickle,
    /// Not at all, until something else is said: a black hole, also for new connections. As on a
    /// network that comes back, nothing is lost.
    Hold,
}

/// What every connection watches.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Orders {
    pub(super) to_server: Flow,
    pub(super) to_client: Flow,
    /// Connections up to this number are over, in the way that `end` says.
    pub(super) end_until: usize,
    pub(super) end: End,
    pub(super) refuse: bool,
}

/// How a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum End {
    #[default]
    Fin,
    Rst,
    /// Open for ever, and silent.
    HalfOpen,
}

/// A proxy on a random port of 127.0.0.1; dropping it ends its connections.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    orders: watch::Sender<Orders>,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl FaultProxy {
    /// Starts it; it hands everything on until told otherwise.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(upstream: Upstream) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let orders = watch::Sender::new(Orders::default());
        let accepted = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(
            listener,
            upstream,
            orders.subscribe(),
            Arc::clone(&accepted),
        ));
        Ok(Self {
            address,
            orders,
            accepted,
            task,
        })
    }

    /// In front of a server of the testkit.
    ///
    /// # Errors
    /// As [`FaultProxy::start`].
    pub async fn before(server: &crate::postgres::Server) -> io::Result<Self> {
        Self::start(Upstream::Tcp(SocketAddr::from((
            [127, 0, 0, 1],
            server.port(),
        ))))
        .await
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A URL that leads through the proxy instead of to `server`'s own port.
    #[must_use]
    pub fn url(&self, direct: &str) -> String {
        let (head, tail) = direct.rsplit_once(':').expect("the URL has a port");
        let path = tail.trim_start_matches(|c: char| c.is_ascii_digit());
        format!("{head}:{}{path}", self.port())
    }

    /// How many connections it has accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// How bytes go from now on, on connections that are there and on new ones.
    pub fn set(&self, direction: Direction, flow: Flow) {
        self.orders.send_modify(|orders| {
            if direction != Direction::ToClient {
                orders.to_server = flow;
            }
            if direction != Direction::ToServer {
                orders.to_client = flow;
            }
        });
    }

    /// Ends the connections that are there in good order, as a server that stops does.
    pub fn cut(&self) {
        self.end(End::Fin);
    }

    /// Resets the connections that are there, as a firewall that has forgotten them does.
    pub fn reset(&self) {
        self.end(End::Rst);
    }

    /// Lets the connections that are there die without a word: they stay open, nothing comes and
    /// nothing arrives. New ones work.
    pub fn half_open(&self) {
        self.end(End::HalfOpen);
    }

    /// Whether new connections are closed as soon as they come.
    pub fn refuse(&self, refuse: bool) {
        self.orders.send_modify(|orders| orders.refuse = refuse);
    }

    fn end(&self, end: End) {
        let accepted = self.accepted();
        self.orders.send_modify(|orders| {
            orders.end_until = accepted;
            orders.end = end;
        });
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    upstream: Upstream,
    orders: watch::Receiver<Orders>,
    accepted: Arc<AtomicUsize>,
) {
    // Dropped with this task, and all connections with it.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let number = accepted.fetch_add(1, Ordering::SeqCst) + 1;
        if orders.borrow().refuse {
            continue;
        }
        while connections.try_join_next().is_some() {}
        let (upstream, orders) = (upstream.clone(), orders.clone());
        connections.spawn(async move { serve(client, upstream, number, orders).await });
    }
}

/// A server that cannot be reached looks like one that hangs up.
async fn serve(
    client: TcpStream,
    upstream: Upstream,
    number: usize,
    orders: watch::Receiver<Orders>,
) {
    let _ = client.set_nodelay(true);
    match upstream {
        Upstream::Tcp(address) => {
            if let Ok(server) = TcpStream::connect(address).await {
                let _ = server.set_nodelay(true);
                connection::run(client, server, number, orders).await;
            }
        }
        Upstream::Unix(path) => {
            if let Ok(server) = tokio::net::UnixStream::connect(path).await {
                connection::run(client, server, number, orders).await;
            }
        }
    }
}
