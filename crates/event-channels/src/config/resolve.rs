//! Which backend a channel gets.

use std::sync::Arc;
use std::time::Duration;

use events_core::telemetry::{Count, Telemetry};
use events_core::{Error, ErrorKind, Op, Result};

use super::{BackendKind, EventsConfig, Fallback};

/// The backend that will be opened, and the one that was wanted instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) backend: BackendKind,
    pub(crate) instead_of: Option<BackendKind>,
}

/// Decides by configuration and database alone. Each database has the polled queue and nothing else.
pub(crate) fn resolve(config: &EventsConfig) -> Result<Resolved> {
    let wanted = config.backend.unwrap_or(BackendKind::PollQueue);
    if wanted == BackendKind::PollQueue {
        return Ok(Resolved {
            backend: wanted,
            instead_of: None,
        });
    }
    match config.fallback {
        Fallback::Queue => Ok(Resolved { backend: BackendKind::PollQueue, instead_of: Some(wanted) }),
        Fallback::Error => Err(Error::new(ErrorKind::Unsupported, Op::Open).because(format!(
            "backend {wanted} is not available on {} and fallback is \"error\"; use backend \"poll_queue\", or fallback = \"queue\"",
            config.database().product()
        ))),
    }
}

impl Resolved {
    /// Says what was decided: a fallback is one warning and one count.
    pub(crate) fn report(self, product: &str, telemetry: &Arc<Telemetry>, poll_interval: Duration) {
        telemetry.backend_resolved(self.backend.as_str(), poll_interval);
        if let Some(wanted) = self.instead_of {
            tracing::warn!(
                requested = wanted.as_str(),
                fallback = self.backend.as_str(),
                reason = format!("{product} has no such backend in this version"),
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
            assert_eq!(
                resolve(&wanted).unwrap(),
                Resolved {
                    instead_of: Some(native),
                    ..queue
                }
            );
            let error = resolve(&wanted.fallback(Fallback::Error)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(
                error.to_string().contains(native.as_str())
                    && error.to_string().contains("poll_queue")
            );
        }
    }
}
