//! What a case is given: a database of its own, and helpers that never wait for ever.

use std::time::Duration;

use event_channels::{
    BackendKind, Capabilities, Error, ErrorKind, EventChannel, EventMessage, Events, EventsConfig,
    Result, Settled, SettlementMode,
};
use tempfile::TempDir;

use crate::{Missing, oracle, postgres, skip};

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
    backend: BackendKind,
    several_channels: bool,
    aq_groups: bool,
    _folder: Option<TempDir>,
    table: Option<String>,
    _database: Option<postgres::Database>,
    _oracle: Option<oracle::Database>,
}

impl Harness {
    fn new(url: String, backend: BackendKind) -> Self {
        Self {
            url,
            backend,
            several_channels: true,
            aq_groups: false,
            _folder: None,
            table: None,
            _database: None,
            _oracle: None,
        }
    }

    /// The queue on an SQLite file in a temporary folder.
    #[must_use]
    pub fn sqlite_file() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let url = format!("sqlite:{}", folder.path().join("events.db").display());
        Self {
            _folder: Some(folder),
            ..Self::new(url, BackendKind::PollQueue)
        }
    }

    /// The queue on an SQLite database in memory.
    #[must_use]
    pub fn sqlite_memory() -> Self {
        Self {
            several_channels: false,
            ..Self::new("sqlite::memory:".to_owned(), BackendKind::PollQueue)
        }
    }

    /// The queue in a PostgreSQL database of its own.
    ///
    /// # Errors
    /// [`Missing`] when there is no server.
    pub fn postgres() -> Result<Self, Missing> {
        Self::on_postgres(BackendKind::PollQueue)
    }

    /// The queue in a PostgreSQL database of its own, its consumers woken by notifications.
    ///
    /// # Errors
    /// [`Missing`] when there is no server.
    pub fn postgres_woken() -> Result<Self, Missing> {
        Self::on_postgres(BackendKind::NotifyQueue)
    }

    /// Native notifications in a PostgreSQL database of its own.
    ///
    /// # Errors
    /// [`Missing`] when there is no server.
    pub fn postgres_native() -> Result<Self, Missing> {
        Self::on_postgres(BackendKind::Notify)
    }

    fn on_postgres(backend: BackendKind) -> Result<Self, Missing> {
        let database = postgres::database()?;
        let url = database.url().to_owned();
        Ok(Self {
            _database: Some(database),
            ..Self::new(url, backend)
        })
    }

    /// The queue in tables of its own in an Oracle database: of the stand-in, or of a server.
    ///
    /// # Errors
    /// [`Missing`] when there is neither.
    pub fn oracle() -> Result<Self, Missing> {
        let database = oracle::database()?;
        Ok(Self {
            table: Some(database.table().to_owned()),
            ..Self::new(database.url().to_owned(), BackendKind::PollQueue)
        }
        .on(database))
    }

    /// Advanced Queuing on Oracle, in a queue of its own.
    ///
    /// # Errors
    /// [`Missing`] when there is neither the stand-in nor a server.
    pub fn oracle_aq() -> Result<Self, Missing> {
        Self::on_oracle_queue(BackendKind::Aq)
    }

    /// A Transactional Event Queue of its own on Oracle.
    ///
    /// # Errors
    /// [`Missing`] when there is neither the stand-in nor a server.
    pub fn oracle_txeventq() -> Result<Self, Missing> {
        Self::on_oracle_queue(BackendKind::TxEventQ)
    }

    /// The same queues with consumer groups.
    #[must_use]
    pub fn with_groups(self) -> Self {
        Self {
            aq_groups: true,
            ..self
        }
    }

    fn on_oracle_queue(backend: BackendKind) -> Result<Self, Missing> {
        Ok(Self {
            backend,
            ..Self::oracle()?
        })
    }

    fn on(self, database: oracle::Database) -> Self {
        Self {
            _oracle: Some(database),
            ..self
        }
    }

    /// Whether two channels that are opened see the same events.
    #[must_use]
    pub fn several_channels(&self) -> bool {
        self.several_channels
    }

    /// Whether events are stored.
    #[must_use]
    pub fn durable(&self) -> bool {
        self.backend != BackendKind::Notify
    }

    /// Whether a hold is a lease that ends by itself, with operations on what is stored; Oracle's
    /// queues hold by a transaction, and have tests of their own.
    #[must_use]
    pub fn leases(&self) -> bool {
        !matches!(
            self.backend,
            BackendKind::Notify | BackendKind::Aq | BackendKind::TxEventQ
        )
    }

    /// A configuration for this database, with counters of its own and no long waits.
    ///
    /// # Errors
    /// Those of reading the URL.
    pub fn config(&self) -> Result<EventsConfig> {
        let name = format!("test_{}", event_channels::EventId::new());
        let mut config = EventsConfig::new(&*self.url)?;
        if let Some(table) = &self.table {
            config = config.queue_table(table).aq_queue(table);
        }
        Ok(config
            .name(name)
            .backend(self.backend)
            .aq_groups(self.aq_groups)
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
        let channel = change(self.config()?).open().await?;
        assert_eq!(channel.backend_name(), self.backend.as_str());
        assert_eq!(channel.capabilities().durable, self.durable());
        Ok(channel)
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

/// Runs a case that is about what is stored.
///
/// # Panics
/// As [`run`].
pub fn run_durable<F, Fut>(name: &str, harness: Result<Harness, Missing>, case: F)
where
    F: FnOnce(Harness) -> Fut,
    Fut: Future<Output = Result<Outcome>>,
{
    run(name, harness, async |harness: Harness| {
        if harness.leases() {
            case(harness).await
        } else if harness.durable() {
            Ok(Outcome::Skipped(
                "a transaction holds the event; events-oracle-aq has tests of that",
            ))
        } else {
            Ok(Outcome::Skipped("this backend stores nothing"))
        }
    });
}

/// What a verdict of a holder is answered.
#[must_use]
pub fn recorded(capabilities: Capabilities) -> Settled {
    match capabilities.settlement {
        SettlementMode::None => Settled::NothingToRecord,
        _ => Settled::Recorded,
    }
}

/// What a first delivery says of its attempt.
#[must_use]
pub fn attempt(capabilities: Capabilities) -> u32 {
    u32::from(capabilities.settlement != SettlementMode::None)
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
