//! Which queue, on which server, and how it is waited on.

use std::sync::Arc;
use std::time::Duration;

use events_core::telemetry::Telemetry;
use events_core::{Error, Result};
use events_oracle_session::Server;
use events_queue::Backoff;

/// The most seconds that `DBMS_AQ` counts.
pub(crate) const LONGEST: u64 = i32::MAX as u64;

/// Which of Oracle's two kinds of queues; both are used alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// Advanced Queuing.
    Aq,
    /// Transactional Event Queues.
    TxEventQ,
}

impl Flavour {
    /// The name of the backend.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aq => "aq",
            Self::TxEventQ => "txeventq",
        }
    }
}

/// When a dequeue becomes lasting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Visibility {
    /// With the ack: at least once.
    #[default]
    OnCommit,
    /// At once, before the event is handled: at most once, and nothing is settled.
    Immediate,
}

/// Settings of a backend on Oracle's queues.
#[derive(Debug, Clone)]
pub struct AqConfig {
    /// The server and the login.
    pub server: Server,
    /// The kind of queue.
    pub flavour: Flavour,
    /// `[SCHEMA.]NAME`; `{channel}` in it stands for the channel, so that each has a queue.
    pub queue: String,
    /// The queue is for multiple consumers, and each group of a channel is a subscriber of it.
    pub groups: bool,
    /// The longest wait inside the database; rounded up to whole seconds, 0 looks and comes back.
    pub wait: Duration,
    /// The pause between two looks that do not wait; when it was asked for it also bounds `wait`.
    pub poll_interval: Option<Duration>,
    /// When a dequeue becomes lasting.
    pub visibility: Visibility,
    /// An event that failed so often is a dead letter.
    pub max_attempts: u32,
    /// When a failed event is tried again.
    pub backoff: Backoff,
    /// The most sessions that publish.
    pub pool_size: usize,
    /// How long one call of the server may take, beside the time that it waits for a message.
    pub timeout: Duration,
    /// The largest payload in bytes of JSON. A RAW queue takes 32,511 with the envelope.
    pub max_payload_bytes: usize,
    /// Users whom [`crate::migrate::up`] lets publish to the queue and consume from it.
    pub grantees: Vec<String>,
    /// Where counts go.
    pub telemetry: Arc<Telemetry>,
}

impl AqConfig {
    /// The queue `SQLSPEC_EVENTS_QUEUE` on this server, with defaults for everything else.
    #[must_use]
    pub fn new(server: Server, flavour: Flavour) -> Self {
        Self {
            server,
            flavour,
            queue: "SQLSPEC_EVENTS_QUEUE".to_owned(),
            groups: false,
            wait: Duration::from_secs(5),
            poll_interval: None,
            visibility: Visibility::OnCommit,
            max_attempts: 20,
            backoff: Backoff::default(),
            pool_size: 8,
            timeout: Duration::from_secs(30),
            max_payload_bytes: 1024 * 1024,
            grantees: Vec::new(),
            telemetry: Telemetry::named("default"),
        }
    }

    /// Refuses values that cannot work.
    pub(crate) fn check(&self) -> Result<()> {
        let refused = if self.max_attempts == 0 {
            "max_attempts must be at least 1, not 0"
        } else if self.pool_size == 0 {
            "the pool needs at least 1 session, not 0"
        } else if self.timeout < Duration::from_millis(1) {
            "a call may take at least a millisecond"
        } else {
            return Ok(());
        };
        Err(Error::invalid_config(refused))
    }

    /// How long one dequeue waits inside the database, in whole seconds.
    pub(crate) fn wait_seconds(&self, poll_interval: Option<Duration>) -> u64 {
        let bound = poll_interval.or(self.poll_interval);
        let wait = bound.map_or(self.wait, |bound| bound.min(self.wait));
        whole_seconds(wait).min(LONGEST)
    }
}

/// Seconds as Oracle's queues count them: whole, and rounded up so that nothing comes early.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs()
        .saturating_add(u64::from(time.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_bounded_and_whole() {
        let server = Server::parse("oracle://u@h/s").unwrap();
        let mut config = AqConfig::new(server, Flavour::Aq);
        assert_eq!(config.wait_seconds(None), 5);
        assert_eq!(config.wait_seconds(Some(Duration::from_millis(50))), 1);
        config.poll_interval = Some(Duration::from_millis(2500));
        assert_eq!(config.wait_seconds(None), 3);
        assert_eq!(config.wait_seconds(Some(Duration::from_secs(9))), 5);
        config.poll_interval = None;
        config.wait = Duration::MAX;
        assert_eq!(config.wait_seconds(None), LONGEST);
        config.wait = Duration::ZERO;
        assert_eq!(config.wait_seconds(None), 0);
    }
}
