//! The statements, each in a file of its own.

pub(crate) const ENQUEUE_JSON: &str = include_str!("sql/enqueue_json.sql");
pub(crate) const ENQUEUE_RAW: &str = include_str!("sql/enqueue_raw.sql");
pub(crate) const DEQUEUE_JSON: &str = include_str!("sql/dequeue_json.sql");
pub(crate) const DEQUEUE_RAW: &str = include_str!("sql/dequeue_raw.sql");
pub(crate) const GRANTED: &str = include_str!("sql/granted.sql");
pub(crate) const PROBE: &str = include_str!("sql/probe.sql");
pub(crate) const PROBE_OTHER_SCHEMA: &str = include_str!("sql/probe_other_schema.sql");
pub(crate) const CENSUS: &str = include_str!("sql/census.sql");
pub(crate) const DEAD_JSON: &str = include_str!("sql/dead_json.sql");
pub(crate) const DEAD_RAW: &str = include_str!("sql/dead_raw.sql");
pub(crate) const CENSUS_OF_GROUPS: &str = include_str!("sql/census_of_groups.sql");
pub(crate) const DEAD_OF_GROUPS_JSON: &str = include_str!("sql/dead_of_groups_json.sql");
pub(crate) const DEAD_OF_GROUPS_RAW: &str = include_str!("sql/dead_of_groups_raw.sql");
pub(crate) const SUBSCRIBERS: &str = include_str!("sql/subscribers.sql");
pub(crate) const SUBSCRIBERS_OTHER_SCHEMA: &str = include_str!("sql/subscribers_other_schema.sql");
pub(crate) const SUBSCRIBE: &str = include_str!("sql/subscribe.sql");
pub(crate) const UNSUBSCRIBE: &str = include_str!("sql/unsubscribe.sql");
pub(crate) const TAKE_JSON: &str = include_str!("sql/take_json.sql");
pub(crate) const TAKE_RAW: &str = include_str!("sql/take_raw.sql");

/// The view in the statements that look into a queue; each queue table has one.
pub(crate) const VIEW: &str = "\"AQ$SQLSPEC_EVENTS_QUEUE_QT\"";
