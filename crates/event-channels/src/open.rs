//! From a configuration to a channel, and the tables that it needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use events_core::{Backend, Error, ErrorKind, Op, Result};
use events_migrations::{Dialect, Direction, MigrationStatus};
use tokio::runtime::Handle;

use crate::EventChannel;
#[cfg(any(feature = "pg-native", feature = "queue-pg"))]
use crate::config::BackendKind;
#[cfg(feature = "oracle-aq")]
use crate::config::Fallback;
use crate::config::{Database, EventsConfig, resolve};

#[cfg(feature = "oracle-aq")]
mod aq;
#[cfg(feature = "pg-native")]
mod notify;
#[cfg(feature = "queue-oracle")]
mod oracle;
#[cfg(feature = "queue-pg")]
mod postgres;
#[cfg(feature = "queue-sqlite")]
mod sqlite;
#[cfg(not(feature = "queue-pg"))]
use missing as postgres;
#[cfg(not(feature = "queue-sqlite"))]
use missing as sqlite;

impl EventsConfig {
    /// Opens a channel; its background tasks run on the present tokio runtime.
    ///
    /// # Errors
    /// `InvalidConfig`, `Unsupported` or `NotCompiled` for a configuration that cannot be served,
    /// `SchemaMissing` and `SchemaNewer` for tables that do not fit, and whatever keeps the
    /// database from being reached. `WrongContext` outside a tokio runtime.
    pub async fn open(self) -> Result<EventChannel> {
        let runtime = Handle::try_current().map_err(|_| {
            Error::new(ErrorKind::WrongContext, Op::Open)
                .because("a channel is opened inside a tokio runtime; use blocking::EventChannel outside of one")
        })?;
        #[cfg_attr(
            not(feature = "oracle-aq"),
            expect(
                unused_mut,
                reason = "only Oracle's queues are found missing this late"
            )
        )]
        let mut resolved = resolve(&self)?;
        let queue = self.queue_config()?;
        let backend: Arc<dyn Backend> = match self.database() {
            #[cfg(feature = "pg-native")]
            Database::Postgres(server) if resolved.backend == BackendKind::Notify => {
                notify::open(&self, server, &runtime).await?
            }
            #[cfg(feature = "queue-pg")]
            Database::Postgres(_) => {
                let woken = resolved.backend == BackendKind::NotifyQueue;
                postgres::open(&self, woken, &runtime).await?
            }
            #[cfg(not(feature = "queue-pg"))]
            Database::Postgres(_) => postgres::open(&self, &runtime).await?,
            #[cfg(feature = "oracle-aq")]
            Database::Oracle(server) if let Some(flavour) = aq::flavour(Some(resolved.backend)) => {
                match aq::open(&self, server, flavour).await {
                    Err(error)
                        if error.kind() == ErrorKind::NotConfigured
                            && self.fallback == Fallback::Queue =>
                    {
                        let reason = error.detail().unwrap_or_default().to_owned();
                        resolved = resolved.fall_back(reason);
                        let tables = oracle::open(&self, server, &runtime).await;
                        tables.map_err(|error| resolved.explain(error))?
                    }
                    other => other?,
                }
            }
            #[cfg(feature = "queue-oracle")]
            Database::Oracle(server) => oracle::open(&self, server, &runtime).await?,
            _ => sqlite::open(&self, &runtime).await?,
        };
        resolved.report(&queue.telemetry, self.poll_interval);
        self.note_ignored();
        Ok(EventChannel::with_options(backend, self.channel_options()))
    }

    /// Creates or updates the tables; answers the ids of the migrations that were applied.
    ///
    /// # Errors
    /// `SchemaNewer` for tables of a newer version, `InvalidConfig` for a foreign table of the
    /// same name, and those of the database.
    pub async fn migrate_up(&self) -> Result<Vec<String>> {
        self.check_queue()?;
        match self.database() {
            #[cfg(feature = "pg-native")]
            Database::Postgres(_) if self.only_notifies() => notify::up(self).await,
            Database::Postgres(_) => postgres::up(self).await,
            #[cfg(feature = "queue-oracle")]
            Database::Oracle(server) => {
                // First the tables: where queues are not granted they are what is used.
                let ids = match self.fallback_table {
                    true => oracle::up(self, server).await?,
                    false => Vec::new(),
                };
                #[cfg(feature = "oracle-aq")]
                aq::migrate(self, server, Direction::Up).await?;
                Ok(ids)
            }
            _ => sqlite::up(self).await,
        }
    }

    /// Drops the tables with everything in them; answers the ids that were reverted.
    ///
    /// # Errors
    /// As [`EventsConfig::migrate_up`].
    pub async fn migrate_down(&self) -> Result<Vec<String>> {
        self.check_queue()?;
        match self.database() {
            #[cfg(feature = "pg-native")]
            Database::Postgres(_) if self.only_notifies() => notify::down(self).await,
            Database::Postgres(_) => postgres::down(self).await,
            #[cfg(feature = "queue-oracle")]
            Database::Oracle(server) => {
                #[cfg(feature = "oracle-aq")]
                aq::migrate(self, server, Direction::Down).await?;
                match self.fallback_table {
                    true => oracle::down(self, server).await,
                    false => Ok(Vec::new()),
                }
            }
            _ => sqlite::down(self).await,
        }
    }

    /// What was applied and what was not. Creates no file.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn migrate_status(&self) -> Result<Vec<MigrationStatus>> {
        match self.database() {
            #[cfg(feature = "pg-native")]
            Database::Postgres(_) if self.only_notifies() => notify::status(self).await,
            Database::Postgres(_) => postgres::status(self).await,
            #[cfg(feature = "queue-oracle")]
            Database::Oracle(server) => oracle::status(self, server).await,
            _ => sqlite::status(self).await,
        }
    }

    /// The SQL that `migrate_up` or `migrate_down` would run; empty when there is nothing to do.
    /// Changes nothing and creates no file.
    ///
    /// # Errors
    /// As [`EventsConfig::migrate_up`].
    pub async fn migrate_dry_run(&self, direction: Direction) -> Result<String> {
        self.check_queue()?;
        match self.database() {
            #[cfg(feature = "pg-native")]
            Database::Postgres(_) if self.only_notifies() => notify::dry_run(self, direction).await,
            Database::Postgres(_) => postgres::dry_run(self, direction).await,
            #[cfg(feature = "queue-oracle")]
            Database::Oracle(server) => {
                let tables = match self.fallback_table {
                    true => oracle::dry_run(self, server, direction).await?,
                    false => String::new(),
                };
                #[cfg(feature = "oracle-aq")]
                let tables = aq::dry_run(self, server, direction).await? + &tables;
                Ok(tables)
            }
            _ => sqlite::dry_run(self, direction).await,
        }
    }

    /// Writes the migrations as plain SQL files, for users of other migration tools. For a native
    /// backend on Oracle its queue is among them.
    ///
    /// # Errors
    /// `InvalidConfig` for a bad name of a table or queue, `InvalidInput` when a file with other content is in
    /// the way.
    pub fn migrate_export(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let dialect = match self.database() {
            #[cfg(feature = "pg-native")]
            Database::Postgres(_) if self.only_notifies() => return notify::export(self, folder),
            Database::Postgres(_) => Dialect::Postgres,
            #[cfg(feature = "queue-oracle")]
            Database::Oracle(server) => return self.export_of_oracle(server, folder),
            _ => Dialect::Sqlite,
        };
        self.check_queue()?;
        events_migrations::export(dialect, &self.table()?, folder)
    }

    #[cfg(feature = "queue-oracle")]
    fn export_of_oracle(
        &self,
        #[cfg_attr(not(feature = "oracle-aq"), expect(unused_variables))]
        server: &events_queue_oracle::Server,
        folder: &Path,
    ) -> Result<Vec<PathBuf>> {
        self.check_queue()?;
        let mut files = Vec::new();
        if self.fallback_table {
            files = events_migrations::files(Dialect::Oracle, &self.table()?);
        }
        #[cfg(feature = "oracle-aq")]
        files.extend(aq::files(self, server)?);
        events_migrations::write(folder, files)
    }

    /// Whether migrations also make, or drop, a queue of Oracle's. It has no migrations with ids:
    /// what is there already is left as it is.
    #[must_use]
    pub fn migrates_queue(&self) -> bool {
        match self.database() {
            #[cfg(feature = "oracle-aq")]
            Database::Oracle(_) => aq::flavour(self.backend).is_some(),
            _ => false,
        }
    }

    /// Refuses to leave out the only tables that there are, and to grant what there is not.
    fn check_queue(&self) -> Result<()> {
        let refused = if self.migrates_queue() {
            return Ok(());
        } else if !self.fallback_table {
            "without the table of the fallback nothing is left to migrate"
        } else if !self.queue_grantees.is_empty() {
            "there is no queue to grant"
        } else {
            return Ok(());
        };
        Err(Error::invalid_config(format!(
            "{refused}; that goes with the backends aq and txeventq on Oracle"
        )))
    }

    /// Whether only notifications were asked for, so that the queue needs no tables.
    #[cfg(feature = "pg-native")]
    fn only_notifies(&self) -> bool {
        self.backend == Some(BackendKind::Notify)
    }
}

/// Runs work that blocks on a thread of its own, so that no task of the runtime waits for it.
#[cfg(any(feature = "queue-oracle", feature = "queue-sqlite"))]
async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (answer, answered) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("event-channels-open".to_owned())
        .spawn(move || {
            let _ = answer.send(work());
        })
        .map_err(|e| {
            Error::new(ErrorKind::Busy, Op::Open)
                .because("no thread can be started")
                .caused_by(e)
        })?;
    answered.await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Backend, Op::Open)
            .because("a bug in this library: opening panicked"))
    })
}

/// What stands for a backend that this build lacks.
#[cfg(not(all(feature = "queue-pg", feature = "queue-sqlite")))]
mod missing {
    use super::*;

    fn not_compiled<T>(config: &EventsConfig) -> Result<T> {
        let feature = match config.database() {
            Database::Postgres(_) => "queue-pg",
            _ => "queue-sqlite",
        };
        Err(
            Error::new(ErrorKind::NotCompiled, Op::Open).because(format!(
                "{:?} needs the feature {feature:?} of event-channels, which this build lacks",
                config.database()
            )),
        )
    }

    pub(super) async fn open(config: &EventsConfig, _: &Handle) -> Result<Arc<dyn Backend>> {
        not_compiled(config)
    }

    pub(super) async fn up(config: &EventsConfig) -> Result<Vec<String>> {
        not_compiled(config)
    }

    pub(super) async fn down(config: &EventsConfig) -> Result<Vec<String>> {
        not_compiled(config)
    }

    pub(super) async fn status(config: &EventsConfig) -> Result<Vec<MigrationStatus>> {
        not_compiled(config)
    }

    pub(super) async fn dry_run(config: &EventsConfig, _: Direction) -> Result<String> {
        not_compiled(config)
    }
}
