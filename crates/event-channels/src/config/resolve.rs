//! Which backend a channel gets.

use std::sync::Arc;
use std::time::Duration;

use events_core::telemetry::{Count, Telemetry};
use events_core::{Error, ErrorKind, Op, Result};

use super::{BackendKind, Database, EventsConfig, Fallback};

/// The backend that will be opened, and the one that was wanted instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) backend: BackendKind,
    /// What was wanted, and why it cannot be had.
    instead_of: Option<(BackendKind, String)>,
}

/// Decides by configuration, database and build alone.
pub(crate) fn resolve(config: &EventsConfig) -> Result<Resolved> {
    let is_postgres = matches!(config.database(), Database::Postgres(_));
    #[cfg(feature = "queue-oracle")]
    let is_oracle = matches!(config.database(), Database::Oracle(_));
    #[cfg(not(feature = "queue-oracle"))]
    let is_oracle = false;
    let wanted = config.backend.unwrap_or(if is_postgres {
        BackendKind::Notify
    } else {
        BackendKind::PollQueue
    });
    let missing = match wanted {
        BackendKind::PollQueue => None,
        BackendKind::Notify if is_postgres && cfg!(feature = "pg-native") => None,
        BackendKind::Notify if is_postgres => {
            Some("this build lacks the feature pg-native".to_owned())
        }
        BackendKind::NotifyQueue if is_postgres => None,
        BackendKind::Aq | BackendKind::TxEventQ if is_oracle && cfg!(feature = "oracle-aq") => None,
        BackendKind::Aq | BackendKind::TxEventQ if is_oracle => {
            Some("this build lacks the feature oracle-aq".to_owned())
        }
        _ => Some(format!(
            "{} has no such backend in this version",
            config.database().product()
        )),
    };
    match (missing, config.fallback) {
        (None, _) => Ok(Resolved {
            backend: wanted,
            instead_of: None,
        }),
        (Some(reason), Fallback::Queue) => Ok(Resolved {
            backend: BackendKind::PollQueue,
            instead_of: Some((wanted, reason)),
        }),
        (Some(reason), Fallback::Error) => Err(Error::new(ErrorKind::Unsupported, Op::Open).because(format!(
            "backend {wanted} is not available on {}: {reason}, and fallback is \"error\"; use backend \"poll_queue\", or fallback = \"queue\"",
            config.database().product()
        ))),
    }
}

impl Resolved {
    /// The queue tables, because the database turned out not to have what was wanted.
    #[cfg(feature = "oracle-aq")]
    pub(crate) fn fall_back(self, reason: String) -> Self {
        Self {
            backend: BackendKind::PollQueue,
            instead_of: Some((self.backend, reason)),
        }
    }

    /// Adds to an error of the fallback why that is what was opened.
    #[cfg(feature = "oracle-aq")]
    pub(crate) fn explain(&self, error: Error) -> Error {
        let Some((wanted, reason)) = &self.instead_of else {
            return error;
        };
        let detail = error.detail().unwrap_or_default();
        let detail = format!(
            "{detail}; the queue table was wanted because backend {wanted} is not available: {reason}"
        );
        error.because(detail)
    }

    /// Says what was decided: a fallback is one warning and one count.
    pub(crate) fn report(&self, telemetry: &Arc<Telemetry>, poll_interval: Duration) {
        telemetry.backend_resolved(self.backend.as_str(), poll_interval);
        if let Some((wanted, reason)) = &self.instead_of {
            tracing::warn!(
                requested = wanted.as_str(),
                fallback = self.backend.as_str(),
                reason,
                "the wanted backend is not available; the queue table is used"
            );
            telemetry
                .backend(self.backend.as_str())
                .add(Count::Fallback, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_default_and_fallback() {
        let config = EventsConfig::new("sqlite::memory:").unwrap();
        let queue = Resolved {
            backend: BackendKind::PollQueue,
            instead_of: None,
        };
        assert_eq!(resolve(&config).unwrap(), queue);
        for native in [
            BackendKind::Notify,
            BackendKind::NotifyQueue,
            BackendKind::Aq,
            BackendKind::TxEventQ,
        ] {
            let wanted = config.clone().backend(native);
            let resolved = resolve(&wanted).unwrap();
            assert_eq!(resolved.backend, BackendKind::PollQueue);
            assert_eq!(resolved.instead_of.unwrap().0, native);
            let error = resolve(&wanted.fallback(Fallback::Error)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(
                error.to_string().contains(native.as_str())
                    && error.to_string().contains("poll_queue")
            );
        }
    }

    #[test]
    fn postgres_has_notifications_if_this_build_has_them() {
        let config = EventsConfig::new("postgres://localhost/db").unwrap();
        let resolved = resolve(&config).unwrap();
        if cfg!(feature = "pg-native") {
            assert_eq!(resolved.backend, BackendKind::Notify);
            assert_eq!(resolved.instead_of, None);
        } else {
            assert_eq!(resolved.backend, BackendKind::PollQueue);
            let (wanted, reason) = resolved.instead_of.unwrap();
            assert_eq!(wanted, BackendKind::Notify);
            assert!(reason.contains("pg-native"), "{reason}");
        }
        let queue = resolve(&config.clone().backend(BackendKind::PollQueue)).unwrap();
        assert_eq!(queue.instead_of, None);
        let woken = resolve(&config.clone().backend(BackendKind::NotifyQueue)).unwrap();
        assert_eq!(woken.backend, BackendKind::NotifyQueue);
        assert_eq!(woken.instead_of, None);
        let later = resolve(&config.backend(BackendKind::Aq)).unwrap();
        assert_eq!(later.backend, BackendKind::PollQueue);
        assert_eq!(later.instead_of.unwrap().0, BackendKind::Aq);
    }
}
