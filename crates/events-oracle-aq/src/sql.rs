//! The statements, each in a file of its own.

pub(crate) const ENQUEUE_JSON: &str = include_str!("sql/enqueue_json.sql");
pub(crate) const ENQUEUE_RAW: &str = include_str!("sql/enqueue_raw.sql");
pub(crate) const DEQUEUE_JSON: &str = include_str!("sql/dequeue_json.sql");
pub(crate) const DEQUEUE_RAW: &str = include_str!("sql/dequeue_raw.sql");
pub(crate) const GRANTED: &str = include_str!("sql/granted.sql");
pub(crate) const PROBE: &str = include_str!("sql/probe.sql");
pub(crate) const PROBE_OTHER_SCHEMA: &str = include_str!("sql/probe_other_schema.sql");
