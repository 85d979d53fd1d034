//! What a test knows of its queue, and the checker cannot see.

use std::time::Duration;

/// Settings of a check. The default is a queue as it is configured by default, in which nobody
/// waits so long that it says anything.
#[derive(Debug, Clone)]
#[must_use]
pub struct Expect {
    pub(super) groups: Vec<Option<String>>,
    pub(super) max_attempts: u32,
    pub(super) wake_within: Option<Duration>,
    pub(super) in_order: bool,
    pub(super) relaxed_acks: bool,
    pub(super) acked_rows_go: bool,
    pub(super) acks_are_recorded: bool,
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            groups: vec![None],
            max_attempts: 20,
            wake_within: None,
            in_order: true,
            relaxed_acks: true,
            acked_rows_go: false,
            acks_are_recorded: true,
        }
    }
}

impl Expect {
    /// The default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// The groups that were registered for every channel before the first publish.
    pub fn groups<'a>(mut self, groups: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        self.groups = groups
            .into_iter()
            .map(|name| name.map(str::to_owned))
            .collect();
        self
    }

    /// After so many claims an event is a dead letter.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// An idle consumer is given an event within this time: the poll interval and a second. For
    /// queues whose consumers handle an event in no time.
    pub fn wake_within(mut self, time: Duration) -> Self {
        self.wake_within = Some(time);
        self
    }

    /// Whether consumers see first deliveries in the order of commits.
    pub fn in_order(mut self, in_order: bool) -> Self {
        self.in_order = in_order;
        self
    }

    /// Whether an ack may be lost with the power.
    pub fn relaxed_acks(mut self, relaxed: bool) -> Self {
        self.relaxed_acks = relaxed;
        self
    }

    /// Whether acknowledged events may have been deleted when the tables are looked at.
    pub fn acked_rows_go(mut self, go: bool) -> Self {
        self.acked_rows_go = go;
        self
    }

    /// Whether the history has the acks. It does not where a program tells what it received, and
    /// acknowledges that without telling.
    pub fn acks_are_recorded(mut self, recorded: bool) -> Self {
        self.acks_are_recorded = recorded;
        self
    }
}
