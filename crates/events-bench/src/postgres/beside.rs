//! Databases beside which something goes on while they are measured.

use event_channels::EventsConfig;
use event_channels::postgres::tokio_postgres::{Client, NoTls, connect};
use tokio::runtime::Runtime;

use super::place::Database;
use crate::case::{Effort, Result, Setting};
use crate::measured::Tally;
use crate::place::{Counting, Place, Tables};

/// A session that stays open.
pub(super) struct Session {
    _client: Client,
    _runtime: Runtime,
}

/// What goes on, as the statements of a session.
pub(super) trait Beside: 'static {
    const SQL: &'static str;
}

/// Somebody waits to be woken, and is told of every publish.
pub(super) struct Waiter;

impl Beside for Waiter {
    const SQL: &'static str = include_str!("sql/waiter.sql");
}

/// A transaction keeps the server from ever removing what is deleted meanwhile.
pub(super) struct Pin;

impl Beside for Pin {
    const SQL: &'static str = include_str!("sql/pin.sql");
}

/// A database with something beside it; the session ends before the database is dropped.
pub(super) struct With<B> {
    _session: Session,
    database: Database,
    _beside: std::marker::PhantomData<B>,
}

impl<B: Beside> Place for With<B> {
    fn make(effort: &Effort) -> Result<Self> {
        let database = Database::make(effort)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let client = runtime.block_on(async {
            let (client, connection) = connect(&database.url, NoTls).await?;
            tokio::spawn(connection);
            client.batch_execute(B::SQL).await?;
            Ok::<_, event_channels::postgres::tokio_postgres::Error>(client)
        })?;
        Ok(Self {
            _session: Session {
                _client: client,
                _runtime: runtime,
            },
            database,
            _beside: std::marker::PhantomData,
        })
    }

    fn url(&self) -> String {
        self.database.url()
    }

    fn config(&self, setting: &Setting) -> Result<EventsConfig> {
        self.database.config(setting)
    }
}

impl<B: Beside> Counting for With<B> {
    fn published(&self, events: usize) -> Result<Tally> {
        self.database.published(events)
    }
}

impl<B: Beside> Tables for With<B> {
    fn fill(&self, events: usize, payload_bytes: usize) -> Result<()> {
        self.database.fill(events, payload_bytes)
    }

    fn check_all_acked(&self) -> Result<()> {
        self.database.check_all_acked()
    }

    fn wait_until_acked(&self) -> Result<()> {
        self.database.wait_until_acked()
    }
}
