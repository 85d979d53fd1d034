//! What every queue needs to know, whatever its database.

use std::sync::Arc;
use std::time::Duration;

use events_core::telemetry::Telemetry;
use events_core::{Error, Result, TableName};

use crate::Backoff;

/// The most events that are held ahead of their handling.
pub const MAX_PREFETCH: usize = 128;

/// What a published event survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The end of every process, and power loss.
    #[default]
    Power,
    /// The end of every process; the last moments may be lost with the power.
    Process,
}

/// What a recorded ack, nack or claim survives. Losing one repeats an event, never loses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AckDurability {
    /// The end of every process; power loss may repeat the last events.
    #[default]
    Relaxed,
    /// Power loss too, at the cost of a flush for each batch.
    Strict,
}

/// Settings of a queue.
#[derive(Debug, Clone)]
pub struct QueueConfig {
    /// The table; the others are named after it.
    pub table: TableName,
    /// How long a consumer holds an event before it can be claimed again.
    pub lease: Duration,
    /// How long acknowledged events stay readable; zero deletes on ack.
    pub retention: Duration,
    /// The longest wait between two looks at the table.
    pub poll_interval: Duration,
    /// After this many claims without an ack an event becomes a dead letter.
    pub max_attempts: u32,
    /// When a failed event is tried again.
    pub backoff: Backoff,
    /// How many events are held ahead of their handling; `None` adapts to the handler's speed.
    pub prefetch: Option<usize>,
    /// The largest payload in bytes of JSON.
    pub max_payload_bytes: usize,
    /// What a published event survives.
    pub durability: Durability,
    /// What a recorded ack survives.
    pub ack_durability: AckDurability,
    /// Where counts go.
    pub telemetry: Arc<Telemetry>,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            table: TableName::default(),
            lease: Duration::from_secs(30),
            retention: Duration::from_secs(86_400),
            poll_interval: Duration::from_secs(1),
            max_attempts: 20,
            backoff: Backoff::default(),
            prefetch: None,
            max_payload_bytes: 1024 * 1024,
            durability: Durability::default(),
            ack_durability: AckDurability::default(),
            telemetry: Telemetry::named("default"),
        }
    }
}

impl QueueConfig {
    /// Refuses values that cannot work.
    ///
    /// # Errors
    /// `InvalidConfig` that names the option, its value and the rule.
    pub fn check(&self) -> Result<()> {
        let year = Duration::from_secs(366 * 24 * 3600);
        let rules: [(bool, &str, String); 7] = [
            (
                self.lease >= Duration::from_millis(20) && self.lease <= year,
                "lease_seconds must be between 0.02 and a year",
                format!("{:?}", self.lease),
            ),
            (
                self.retention <= 100 * year,
                "retention_seconds must be at most a hundred years",
                format!("{:?}", self.retention),
            ),
            (
                !self.poll_interval.is_zero() && self.poll_interval <= year,
                "poll_interval must be greater than zero and at most a year",
                format!("{:?}", self.poll_interval),
            ),
            (
                self.max_attempts >= 1,
                "max_attempts must be at least 1",
                self.max_attempts.to_string(),
            ),
            (
                self.backoff.base <= self.backoff.max && self.backoff.max <= year,
                "backoff_base must not exceed backoff_max, and that a year",
                format!("{:?} and {:?}", self.backoff.base, self.backoff.max),
            ),
            (
                self.prefetch
                    .is_none_or(|n| (1..=MAX_PREFETCH).contains(&n)),
                "prefetch must be between 1 and 128, or unset to adapt",
                format!("{:?}", self.prefetch.unwrap_or_default()),
            ),
            (
                (1..=events_core::MAX_PAYLOAD_BYTES).contains(&self.max_payload_bytes),
                "max_payload_bytes must be between 1 and 16777216",
                self.max_payload_bytes.to_string(),
            ),
        ];
        match rules.iter().find(|(holds, ..)| !holds) {
            None => Ok(()),
            Some((_, rule, value)) => Err(Error::invalid_config(format!("{rule}, not {value}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid() {
        QueueConfig::default().check().unwrap();
    }

    #[test]
    fn each_rule_names_its_option_and_the_value() {
        type Change = fn(&mut QueueConfig);
        let cases: [(&str, Change); 6] = [
            ("lease_seconds", |c| c.lease = Duration::ZERO),
            ("poll_interval", |c| c.poll_interval = Duration::ZERO),
            ("max_attempts", |c| c.max_attempts = 0),
            ("backoff_base", |c| {
                c.backoff.base = Duration::from_secs(7200)
            }),
            ("prefetch", |c| c.prefetch = Some(129)),
            ("max_payload_bytes", |c| c.max_payload_bytes = 0),
        ];
        for (option, change) in cases {
            let mut config = QueueConfig::default();
            change(&mut config);
            let error = config.check().unwrap_err().to_string();
            assert!(
                error.contains(option) && error.contains(", not "),
                "{error}"
            );
        }
    }
}
