//! What a case is given: a database of its own, and helpers that never wait for ever.

use std::time::Duration;

use event_channels::{Error, ErrorKind, EventChannel, EventMessage, Events, EventsConfig, Result};
use tempfile::TempDir;

use crate::{Missing, postgres, skip};

/// No case takes longer on a working backend, however busy the machine is.
const CASE_LIMIT: Duration = Duration::from_secs(120);
/// Nor does any single event.
const EVENT_LIMIT: Duration = Duration::from_secs(30);

/// What became of a case.
#[derive(Debug)]
pub enum Outcome {
    /// It ran to its end.
    Passed,
    /// It does not apply, because of this.
    Skipped(&'static str),
}

/// The usual end of a case.
///
/// # Errors
/// None.
pub fn pass() -> Result<Outcome> {
    Ok(Outcome::Passed)
}

/// A backend under test, with a database that nobody else uses.
#[derive(Debug)]
pub struct Harness {
    url: String,
    several_channels: bool,
    _folder: Option<TempDir>,
    _database: Option<postgres::Database>,
}

impl Harness {
    /// The queue on an SQLite file in a temporary folder.
    #[must_use]
    pub fn sqlite_file() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let url = format!("sqlite:{}", folder.path().join("events.db").display());
        Self {
            url,
            several_channels: true,
            _folder: Some(folder),
            _database: None,
        }
    }

    /// The queue on an SQLite database in memory.
    #[must_use]
    pub fn sqlite_memory() -> Self {
        Self {
            url: "sqlite::memory:".to_owned(),
            several_channels: false,
            _folder: None,
            _database: None,
        }
    }

    /// The queue in a PostgreSQL database of its own.
    ///
    /// # Errors
    /// [`Missing`] when there is no server.
    pub fn postgres() -> Result<Self, Missing> {
        let database = postgres::database()?;
        Ok(Self {
            url: database.url().to_owned(),
            several_channels: true,
            _folder: None,
            _database: Some(database),
        })
    }

    /// Whether two channels that are opened see the same events.
    #[must_use]
    pub fn several_channels(&self) -> bool {
        self.several_channels
    }

    /// A configuration for this database, with counters of its own and no long waits.
    ///
    /// # Errors
    /// Those of reading the URL.
    pub fn config(&self) -> Result<EventsConfig> {
        let name = format!("test_{}", event_channels::EventId::new());
        Ok(EventsConfig::new(&*self.url)?
            .name(name)
            .auto_migrate(true)
            .poll_interval(Duration::from_millis(50)))
    }

    /// A channel with the configuration changed as the case needs it.
    ///
    /// # Errors
    /// Those of opening.
    pub async fn open(
        &self,
        change: impl FnOnce(EventsConfig) -> EventsConfig,
    ) -> Result<EventChannel> {
        change(self.config()?).open().await
    }
}

/// Runs a case, and reports a skip where the test runner can find it.
///
/// # Panics
/// When the case fails or takes too long.
pub fn run<F, Fut>(name: &str, harness: Result<Harness, Missing>, case: F)
where
    F: FnOnce(Harness) -> Fut,
    Fut: Future<Output = Result<Outcome>>,
{
    let harness = match harness {
        Ok(harness) => harness,
        Err(missing) => return missing.skip(name),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be made");
    let outcome = runtime.block_on(async { tokio::time::timeout(CASE_LIMIT, case(harness)).await });
    match outcome {
        Ok(Ok(Outcome::Passed)) => {}
        Ok(Ok(Outcome::Skipped(reason))) => skip::skipped(name, reason),
        Ok(Err(error)) => panic!("{name}: {error}: {error:?}"),
        Err(_) => panic!("{name} did not end within {CASE_LIMIT:?}"),
    }
}

/// The next event.
///
/// # Panics
/// When none comes in half a minute, or the stream ends or fails.
pub async fn next(events: &mut Events) -> EventMessage {
    match tokio::time::timeout(EVENT_LIMIT, events.next()).await {
        Ok(Some(Ok(message))) => message,
        Ok(Some(Err(error))) => panic!("the stream yielded {error}"),
        Ok(None) => panic!("the stream ended"),
        Err(_) => panic!("no event came within {EVENT_LIMIT:?}"),
    }
}

/// Nothing is delivered for this long.
///
/// # Panics
/// When something is.
pub async fn nothing_within(events: &mut Events, time: Duration) {
    if let Ok(event) = tokio::time::timeout(time, events.next()).await {
        panic!("nothing was to be delivered, but this was: {event:?}");
    }
}

/// The call failed with this kind; answers the error for a look at its text.
///
/// # Panics
/// When it did not.
pub fn fails_with<T: std::fmt::Debug>(answer: Result<T>, kind: ErrorKind) -> Error {
    let error = answer.expect_err("the call was to fail");
    assert_eq!(error.kind(), kind, "{error}");
    error
}
