//! What a handler answers.

use std::fmt;
use std::time::Duration;

use events_core::{BoxError, RetryAfter};

/// What a handler answers; `Err` gives the event up for this time.
pub type HandlerResult = std::result::Result<(), HandlerError>;

/// Why an event was not handled, and when to try again.
///
/// Made from any error or text, so `?` works in a handler. Its text, with the causes, is kept with
/// the event as the reason. It is not an `Error` itself: that is what makes `?` work.
///
/// ```
/// use std::time::Duration;
/// use event_channels::{HandlerError, HandlerResult};
///
/// fn charge(card: &str) -> HandlerResult {
///     let _digits: u64 = card.parse().map_err(|e| HandlerError::new(e).never())?;
///     Err(HandlerError::new("the bank is closed").retry_after(Duration::from_secs(600)))
/// }
/// # assert!(charge("x").is_err());
/// ```
#[must_use]
pub struct HandlerError {
    cause: BoxError,
    retry: RetryAfter,
}

impl HandlerError {
    /// Tried again as the back-off policy says.
    pub fn new(cause: impl Into<BoxError>) -> Self {
        Self {
            cause: cause.into(),
            retry: RetryAfter::Policy,
        }
    }

    /// Tried again after this time; a dead letter after `max_attempts`.
    pub fn retry_after(mut self, time: Duration) -> Self {
        self.retry = RetryAfter::Delay(time);
        self
    }

    /// Not tried again: the event becomes a dead letter now.
    pub fn never(mut self) -> Self {
        self.retry = RetryAfter::Never;
        self
    }

    /// When it is tried again.
    #[must_use]
    pub fn retry(&self) -> RetryAfter {
        self.retry
    }

    /// The error that the handler met.
    #[must_use]
    pub fn cause(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.cause
    }
}

impl<E: Into<BoxError>> From<E> for HandlerError {
    fn from(cause: E) -> Self {
        Self::new(cause)
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        let mut next = self.cause.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerError")
            .field("cause", &self.cause)
            .field("retry", &self.retry)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use events_core::{Error, ErrorKind, Op};

    #[test]
    fn any_error_or_text_converts_and_causes_are_shown() {
        fn parse() -> HandlerResult {
            "x".parse::<u8>()?;
            Ok(())
        }
        assert!(parse().unwrap_err().to_string().contains("invalid digit"));
        let nested = Error::new(ErrorKind::Busy, Op::Publish).caused_by("locked");
        let error = HandlerError::from(nested).retry_after(Duration::from_secs(1));
        assert_eq!(error.to_string(), "publish failed: busy: locked");
        assert_eq!(error.retry(), RetryAfter::Delay(Duration::from_secs(1)));
        assert_eq!(
            HandlerError::from("text").never().retry(),
            RetryAfter::Never
        );
    }
}
