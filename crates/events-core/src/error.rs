//! The one error type: a kind that callers can act on, the operation, and what caused it.

use std::borrow::Cow;
use std::sync::Arc;
use std::{error, fmt};

use jiff::Timestamp;

use crate::Op;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A cause, usually an error of a database driver.
pub type BoxError = Box<dyn error::Error + Send + Sync + 'static>;

/// What went wrong, in terms of what a caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A name, payload, metadata or id breaks a rule; change the call.
    #[error("invalid input")]
    InvalidInput,
    /// An option or a combination of options breaks a rule; change the configuration.
    #[error("invalid configuration")]
    InvalidConfig,
    /// The backend exists but this build lacks it; the text names the feature.
    #[error("not compiled in")]
    NotCompiled,
    /// The database side is not set up: a queue, a privilege or a client library is missing.
    #[error("not configured")]
    NotConfigured,
    /// A table of the queue does not exist; the text names the command that creates it.
    #[error("schema missing")]
    SchemaMissing,
    /// The tables were made by a newer version of this library.
    #[error("schema newer than this build")]
    SchemaNewer,
    /// The backend cannot honour an option or an operation.
    #[error("unsupported")]
    Unsupported,
    /// The database cannot be reached. Worth a retry.
    #[error("unavailable")]
    Unavailable,
    /// A lock, pool or resource limit stood in the way. Worth a retry.
    #[error("busy")]
    Busy,
    /// A time limit of ours ran out. Worth a retry.
    #[error("timed out")]
    Timeout,
    /// The login was refused.
    #[error("login refused")]
    Auth,
    /// No encrypted connection could be made: the server offers none, or one side does not trust
    /// the certificate of the other.
    #[error("TLS failed")]
    Tls,
    /// The database user or the file mode forbids it.
    #[error("permission denied")]
    Permission,
    /// No space is left. Worth a retry once there is.
    #[error("storage full")]
    StorageFull,
    /// The database file is damaged or no database.
    #[error("corrupt database")]
    Corrupt,
    /// The path leads to another database file than the one that was opened; shut the channel down
    /// and open it again.
    #[error("database replaced")]
    Replaced,
    /// Another claim has overtaken the receipt; nothing was changed.
    #[error("hold lost")]
    HoldLost,
    /// This channel object holds no event of that id.
    #[error("not held")]
    NotHeld,
    /// A session holds one event at a time, and one is not settled yet.
    #[error("unsettled")]
    Unsettled,
    /// Stored bytes are not what this library or a compatible one writes.
    #[error("cannot decode")]
    Codec,
    /// The channel, listener or subscription was shut down.
    #[error("closed")]
    Closed,
    /// A blocking call was made inside an async runtime.
    #[error("wrong context")]
    WrongContext,
    /// A transient subscription was cut and is live again; events in between are gone.
    #[error("gap in the stream")]
    Gap,
    /// A slow consumer of a transient subscription missed events.
    #[error("consumer lagged")]
    Lagged,
    /// The buffer of a transient subscription was full, and its policy is to end it then.
    #[error("consumer too slow")]
    Overflow,
    /// Anything else that the database reported.
    #[error("backend error")]
    Backend,
}

impl ErrorKind {
    /// Whether the same call may succeed later without any change by the caller.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Unavailable | Self::Busy | Self::Timeout | Self::StorageFull
        )
    }
}

/// The stretch of time in which a transient subscription may have missed events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The last moment at which the subscription was known to be live.
    pub from: Timestamp,
    /// The moment at which it was live again.
    pub until: Timestamp,
    /// Why it was cut, in a few words.
    pub cause: String,
}

/// An error of any operation of this library.
///
/// Its text is one lower-case line without secrets and without payloads.
/// The driver's own error is reached through [`std::error::Error::source`].
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    op: Op,
    backend: Option<&'static str>,
    detail: Option<Cow<'static, str>>,
    gap: Option<Gap>,
    lagged: u64,
    source: Option<BoxError>,
}

impl Error {
    /// Makes an error of a kind, for an operation.
    #[must_use]
    pub fn new(kind: ErrorKind, op: Op) -> Self {
        Self(Arc::new(Inner {
            kind,
            op,
            backend: None,
            detail: None,
            gap: None,
            lagged: 0,
            source: None,
        }))
    }

    /// Shorthand for an [`ErrorKind::InvalidInput`] with its reason.
    #[must_use]
    pub fn invalid_input(op: Op, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidInput, op).because(detail)
    }

    /// Shorthand for an [`ErrorKind::InvalidConfig`] with its reason.
    #[must_use]
    pub fn invalid_config(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidConfig, Op::Configure).because(detail)
    }

    /// The item that a transient stream yields after an interruption.
    #[must_use]
    pub fn gap(gap: Gap) -> Self {
        let mut error = Self::new(ErrorKind::Gap, Op::Receive).because(format!(
            "events between {} and {} may be missing: {}",
            gap.from, gap.until, gap.cause
        ));
        error.inner().gap = Some(gap);
        error
    }

    /// The item that a transient stream yields when its consumer missed `events` of them.
    #[must_use]
    pub fn lagged(events: u64) -> Self {
        let mut error = Self::new(ErrorKind::Lagged, Op::Receive).because(format!(
            "{events} events were dropped because the consumer was slower than the channel"
        ));
        error.inner().lagged = events;
        error
    }

    /// Adds the reason: the value, the rule and the way out, in one line.
    #[must_use]
    pub fn because(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.inner().detail = Some(detail.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.inner().source = Some(source.into());
        self
    }

    /// Adds the backend's name.
    #[must_use]
    pub fn in_backend(mut self, backend: &'static str) -> Self {
        self.inner().backend = Some(backend);
        self
    }

    /// The same error, reported for another operation.
    #[must_use]
    pub fn during(mut self, op: Op) -> Self {
        self.inner().op = op;
        self
    }

    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Which operation failed.
    #[must_use]
    pub fn op(&self) -> Op {
        self.0.op
    }

    /// Which backend reported it.
    #[must_use]
    pub fn backend(&self) -> Option<&'static str> {
        self.0.backend
    }

    /// The reason in words, without the operation and kind.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// Whether the same call may succeed later without any change by the caller.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// Whether the stream that yielded this error goes on: true for gaps, lag, an event that has to
    /// be settled first, and whatever is worth a retry.
    #[must_use]
    pub fn stream_continues(&self) -> bool {
        let goes_on = [ErrorKind::Gap, ErrorKind::Lagged, ErrorKind::Unsettled];
        goes_on.contains(&self.0.kind) || self.is_retryable()
    }

    /// The interruption, when the kind is [`ErrorKind::Gap`].
    #[must_use]
    pub fn as_gap(&self) -> Option<&Gap> {
        self.0.gap.as_ref()
    }

    /// How many events were missed, when the kind is [`ErrorKind::Lagged`].
    #[must_use]
    pub fn as_lagged(&self) -> Option<u64> {
        (self.0.kind == ErrorKind::Lagged).then_some(self.0.lagged)
    }

    /// The inner record for a builder call; a shared error is copied without its cause's identity.
    fn inner(&mut self) -> &mut Inner {
        if Arc::get_mut(&mut self.0).is_none() {
            let shared = Arc::clone(&self.0);
            self.0 = Arc::new(Inner {
                kind: shared.kind,
                op: shared.op,
                backend: shared.backend,
                detail: shared.detail.clone(),
                gap: shared.gap.clone(),
                lagged: shared.lagged,
                source: shared
                    .source
                    .as_ref()
                    .map(|_| Box::new(Self(Arc::clone(&shared))) as BoxError),
            });
        }
        Arc::get_mut(&mut self.0).expect("the record was just made and is not shared")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.0.op, self.0.kind)?;
        if let Some(detail) = &self.0.detail {
            write!(f, " ({detail})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("op", &self.0.op)
            .field("backend", &self.0.backend)
            .field("detail", &self.0.detail)
            .field("source", &self.0.source)
            .finish()
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_one_line_with_operation_kind_and_reason() {
        let error = Error::new(ErrorKind::Busy, Op::Publish).because("the file is locked");
        assert_eq!(
            error.to_string(),
            "publish failed: busy (the file is locked)"
        );
        assert!(error.is_retryable());
    }

    #[test]
    fn a_shared_error_can_be_reported_for_another_operation() {
        let first = Error::new(ErrorKind::Backend, Op::Claim).caused_by("disk on fire");
        let second = first.clone().during(Op::Ack);
        assert_eq!(first.op(), Op::Claim);
        assert_eq!(second.op(), Op::Ack);
        assert!(error::Error::source(&second).is_some());
    }

    #[test]
    fn gap_and_lag_do_not_end_a_stream() {
        let now = Timestamp::UNIX_EPOCH;
        let gap = Error::gap(Gap {
            from: now,
            until: now,
            cause: "restart".to_owned(),
        });
        assert!(gap.stream_continues() && gap.as_gap().is_some());
        assert_eq!(Error::lagged(3).as_lagged(), Some(3));
        assert!(Error::lagged(3).stream_continues());
        assert!(Error::new(ErrorKind::Unsettled, Op::Claim).stream_continues());
        assert!(!Error::new(ErrorKind::Closed, Op::Receive).stream_continues());
    }
}
