//! From a configuration to a channel, and the tables that it needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use events_core::{Backend, Error, ErrorKind, Op, Result};
use events_migrations::{Dialect, Direction, MigrationStatus};
use tokio::runtime::Handle;

use crate::EventChannel;
use crate::config::{EventsConfig, resolve};

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
        apart(move || {
            let backend = open_backend(&self, &runtime)?;
            Ok(EventChannel::with_options(backend, self.channel_options()))
        })
        .await
    }

    /// Creates or updates the tables; answers the ids of the migrations that were applied.
    ///
    /// # Errors
    /// `SchemaNewer` for tables of a newer version, `InvalidConfig` for a foreign table of the
    /// same name, and those of the database.
    pub async fn migrate_up(&self) -> Result<Vec<String>> {
        let config = self.clone();
        apart(move || sqlite::up(&config)).await
    }

    /// Drops the tables with everything in them; answers the ids that were reverted.
    ///
    /// # Errors
    /// As [`EventsConfig::migrate_up`].
    pub async fn migrate_down(&self) -> Result<Vec<String>> {
        let config = self.clone();
        apart(move || sqlite::down(&config)).await
    }

    /// What was applied and what was not. Creates no file.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn migrate_status(&self) -> Result<Vec<MigrationStatus>> {
        let config = self.clone();
        apart(move || sqlite::status(&config)).await
    }

    /// The SQL that `migrate_up` or `migrate_down` would run; empty when there is nothing to do.
    /// Changes nothing and creates no file.
    ///
    /// # Errors
    /// As [`EventsConfig::migrate_up`].
    pub async fn migrate_dry_run(&self, direction: Direction) -> Result<String> {
        let config = self.clone();
        apart(move || sqlite::dry_run(&config, direction)).await
    }

    /// Writes the migrations as plain SQL files, for users of other migration tools.
    ///
    /// # Errors
    /// `InvalidConfig` for a bad table name, `InvalidInput` when a file with other content is in
    /// the way.
    pub fn migrate_export(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        events_migrations::export(Dialect::Sqlite, &self.table()?, folder)
    }
}

fn open_backend(config: &EventsConfig, runtime: &Handle) -> Result<Arc<dyn Backend>> {
    let resolved = resolve(config)?;
    let backend = sqlite::open(config, runtime)?;
    resolved.report(&config.queue_config()?.telemetry, config.poll_interval);
    config.note_ignored();
    Ok(backend)
}

/// Runs work that blocks on a thread of its own, so that no task of the runtime waits for it.
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

#[cfg(feature = "queue-sqlite")]
mod sqlite {
    use super::*;
    use crate::config::Database;
    use events_core::Timestamp;
    use events_queue_sqlite::{Location, SqliteConfig, connect, look, migrate};

    fn settings(config: &EventsConfig) -> Result<SqliteConfig> {
        let mut settings = match config.database() {
            Database::SqliteFile(path) => SqliteConfig::file(path),
            Database::SqliteMemory => SqliteConfig::memory(),
        };
        settings.queue = config.queue_config()?;
        settings.auto_migrate = config.auto_migrate;
        Ok(settings)
    }

    pub(super) fn open(config: &EventsConfig, runtime: &Handle) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(events_queue_sqlite::open(
            settings(config)?,
            runtime,
        )?))
    }

    pub(super) fn up(config: &EventsConfig) -> Result<Vec<String>> {
        let mut connection = connect(&settings(config)?)?;
        migrate::up(&mut connection, &config.table()?, Timestamp::now())
    }

    pub(super) fn down(config: &EventsConfig) -> Result<Vec<String>> {
        let settings = settings(config)?;
        // A file that does not exist has no tables, and is not made to find that out.
        if matches!(&settings.location, Location::File(path) if matches!(path.try_exists(), Ok(false)))
        {
            return Ok(Vec::new());
        }
        migrate::down(&mut connect(&settings)?, &config.table()?)
    }

    pub(super) fn status(config: &EventsConfig) -> Result<Vec<MigrationStatus>> {
        migrate::status(&look(&settings(config)?)?, &config.table()?)
    }

    pub(super) fn dry_run(config: &EventsConfig, direction: Direction) -> Result<String> {
        migrate::dry_run(&look(&settings(config)?)?, &config.table()?, direction)
    }
}

#[cfg(not(feature = "queue-sqlite"))]
mod sqlite {
    use super::*;

    fn not_compiled<T>(config: &EventsConfig) -> Result<T> {
        Err(
            Error::new(ErrorKind::NotCompiled, Op::Open).because(format!(
                "{:?} needs the feature \"queue-sqlite\" of event-channels, which this build lacks",
                config.database()
            )),
        )
    }

    pub(super) fn open(config: &EventsConfig, _: &Handle) -> Result<Arc<dyn Backend>> {
        not_compiled(config)
    }

    pub(super) fn up(config: &EventsConfig) -> Result<Vec<String>> {
        not_compiled(config)
    }

    pub(super) fn down(config: &EventsConfig) -> Result<Vec<String>> {
        not_compiled(config)
    }

    pub(super) fn status(config: &EventsConfig) -> Result<Vec<MigrationStatus>> {
        not_compiled(config)
    }

    pub(super) fn dry_run(config: &EventsConfig, _: Direction) -> Result<String> {
        not_compiled(config)
    }
}
