//! Opens the database, checks what cannot be taken for granted, and starts the backend.

use std::sync::Arc;
use std::time::{Duration, Instant};

use events_core::{Error, ErrorKind, Op, Result};
use events_queue::{Durability, QueueBackend, Wakes};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tokio::runtime::Handle;

use crate::bell::{MakeWatch, Ringer, Watch};
use crate::database::{Database, Origin};
use crate::error::{BACKEND, sqlite};
use crate::identity::Identity;
use crate::log::{LIMIT_BYTES, LogGauge};
use crate::sql::Statements;
use crate::writer::Writer;
use crate::{Location, SqliteConfig, SqliteStore, file, migrate};

/// The first version without the bug that can damage a file in WAL mode, `3.51.3`.
const OLDEST_SQLITE: i32 = 3_051_003;

/// Opens a queue on SQLite; its background tasks run on `runtime`.
///
/// # Errors
/// `InvalidConfig`, `Permission`, `Corrupt`, `Unavailable`, `SchemaMissing` or `SchemaNewer`, each
/// with the way out.
pub fn open(config: SqliteConfig, runtime: &Handle) -> Result<QueueBackend<SqliteStore>> {
    open_with(config, runtime, Watch::new)
}

pub(crate) fn open_with(
    config: SqliteConfig,
    runtime: &Handle,
    make_watch: MakeWatch,
) -> Result<QueueBackend<SqliteStore>> {
    config.check()?;
    let mut connection = connect(&config)?;
    let table = config.queue.table.clone();
    if config.auto_migrate {
        migrate::up(&mut connection, &table, config.clock.now())?;
    } else {
        migrate::check(&connection, &table)?;
    }
    let database = database(connection, &config, make_watch)?;
    let (ringer, identity) = (database.ringer().clone(), database.identity().cloned());
    let writer = Writer::start(database, &config)?;
    QueueBackend::start(
        SqliteStore::new(writer, ringer, &config, identity),
        config.queue,
        runtime,
    )
}

/// The writer's database, which can be opened again.
pub(crate) fn database(
    connection: Connection,
    config: &SqliteConfig,
    make_watch: MakeWatch,
) -> Result<Database> {
    let origin = match &config.location {
        Location::Memory => None,
        Location::File(path) => {
            let reopening = config.clone();
            Some(Origin {
                identity: Identity::of(path)?,
                reopen: Box::new(move || connect(&reopening)),
            })
        }
    };
    let sql = Statements::new(&config.queue.table);
    let (log, ringer) = match &config.location {
        Location::Memory => (None, Ringer::alone(Arc::new(Wakes::new()))),
        Location::File(path) => {
            let page_bytes = connection
                .query_row("PRAGMA page_size", [], |row| row.get(0))
                .map_err(failed)?;
            let path = path.canonicalize().unwrap_or_else(|_| path.clone());
            let ringer = Ringer::join(&path, config, &sql, make_watch);
            let flushed = config.queue.durability == Durability::Power;
            (Some(Arc::new(LogGauge::new(page_bytes, flushed))), ringer)
        }
    };
    Database::new(
        connection,
        sql,
        config.queue.clone(),
        config.clock.clone(),
        origin,
        log,
        ringer,
    )
}

/// Makes a connection with every setting verified; the tables are not looked at.
///
/// # Errors
/// As [`open`], except for the schema.
pub fn connect(config: &SqliteConfig) -> Result<Connection> {
    connect_checked(config).map_err(|error| located(config, error))
}

/// Makes a connection that changes nothing, not even the journal mode. A file that does not exist
/// looks like an empty database, and is not created.
///
/// # Errors
/// As [`connect`], except that a file which cannot be written is no error.
pub fn look(config: &SqliteConfig) -> Result<Connection> {
    let looked = || {
        let connection = match &config.location {
            // Not opened read-only: a write-ahead log that a crash left must be read through.
            Location::File(path) if file::exists(path)? => file::open_existing(path)?,
            Location::File(_) | Location::Memory => Connection::open_in_memory().map_err(failed)?,
        };
        connection
            .busy_timeout(config.busy_timeout)
            .map_err(failed)?;
        harden(&connection)?;
        connection
            .pragma_update(None, "query_only", true)
            .map_err(failed)?;
        Ok(connection)
    };
    looked().map_err(|error| located(config, error))
}

/// Makes a second connection to a database that is open, for work beside the writer. It waits for
/// others no longer than `patience`.
pub(crate) fn connect_beside(config: &SqliteConfig, patience: Duration) -> Result<Connection> {
    let connect = || {
        let Location::File(path) = &config.location else {
            return Err(Error::new(ErrorKind::Unsupported, Op::Open)
                .because("a database in memory has one connection"));
        };
        let connection = file::open_existing(path)?;
        connection.busy_timeout(patience).map_err(failed)?;
        harden(&connection)?;
        Ok(connection)
    };
    connect().map_err(|error| located(config, error))
}

fn connect_checked(config: &SqliteConfig) -> Result<Connection> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(Error::new(ErrorKind::Unsupported, Op::Open)
            .in_backend(BACKEND)
            .because(format!(
                "SQLite {} can damage a database in WAL mode; 3.51.3 or newer is needed",
                rusqlite::version()
            )));
    }
    let mut connection = match &config.location {
        Location::Memory => Connection::open_in_memory().map_err(failed)?,
        Location::File(path) => file::open(path)?,
    };
    let patience = config.busy_timeout;
    let mut since = Instant::now();
    let wait = move |tries: i32| {
        if tries == 0 {
            since = Instant::now();
        }
        // Jitter keeps waiting processes from knocking at the same moment.
        std::thread::sleep(Duration::from_micros(fastrand::u64(100..2_000)));
        since.elapsed() < patience
    };
    connection.busy_handler(Some(wait)).map_err(failed)?;
    harden(&connection)?;
    if let Location::File(_) = &config.location {
        let pages: i64 = connection
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .map_err(failed)?;
        if pages == 0 {
            // It can only be chosen for an empty file.
            connection
                .pragma_update(None, "auto_vacuum", "INCREMENTAL")
                .map_err(failed)?;
        }
        use_wal(&connection, config.busy_timeout)?;
    }
    Ok(connection)
}

/// The error with the file's name in it.
fn located(config: &SqliteConfig, error: Error) -> Error {
    match &config.location {
        Location::File(path) => {
            let detail = format!("{}: {}", path.display(), error.detail().unwrap_or_default());
            error.because(detail)
        }
        Location::Memory => error,
    }
}

fn harden(connection: &Connection) -> Result<()> {
    for (option, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        // Without it SQLite looks at bound values when it plans, and so compiles a prepared claim
        // anew each time: most of what a small claim costs.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
    ] {
        connection.set_db_config(option, on).map_err(failed)?;
    }
    let settings = format!(
        "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000; PRAGMA mmap_size = 0;
         PRAGMA journal_size_limit = {LIMIT_BYTES}; PRAGMA foreign_keys = OFF; PRAGMA recursive_triggers = OFF;"
    );
    connection.execute_batch(&settings).map_err(failed)
}

/// Switches to the write-ahead log, and checks that it happened: on failure SQLite keeps the old
/// mode and says nothing. Two processes that do it at once may meet a lock that no busy handler
/// is asked about.
fn use_wal(connection: &Connection, patience: Duration) -> Result<()> {
    let since = Instant::now();
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| {
            row.get::<_, String>(0)
        });
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                return Err(Error::new(ErrorKind::Unsupported, Op::Open).in_backend(BACKEND).because(
                    format!("the database stays in journal mode {mode}; a write-ahead log needs a local file system"),
                ));
            }
            Err(e) => {
                let error = failed(e);
                if error.kind() != ErrorKind::Busy || since.elapsed() >= patience {
                    return Err(error);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

fn failed(error: rusqlite::Error) -> Error {
    sqlite(Op::Open, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that others made keeps what they chose.
    #[test]
    fn only_a_new_file_is_made_to_give_pages_back() {
        let folder = tempfile::tempdir().unwrap();
        for (name, theirs, expected) in
            [("new", None, 2), ("none", Some(0), 0), ("full", Some(1), 1)]
        {
            let path = folder.path().join(name);
            if let Some(theirs) = theirs {
                let made = Connection::open(&path).unwrap();
                made.pragma_update(None, "auto_vacuum", theirs).unwrap();
                made.execute_batch("CREATE TABLE theirs (a)").unwrap();
            }
            drop(connect(&SqliteConfig::file(&path)).unwrap());
            let mut connection = connect(&SqliteConfig::file(&path)).unwrap();
            let table = events_core::TableName::default();
            migrate::up(&mut connection, &table, events_core::Timestamp::now()).unwrap();
            let mode: i64 = connection
                .query_row("PRAGMA auto_vacuum", [], |row| row.get(0))
                .unwrap();
            assert_eq!(mode, expected, "{name}");
        }
    }
}
