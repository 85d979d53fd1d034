//! The values of the column `status`; the migration says why they begin with ten.

/// Can be claimed.
pub(crate) const READY: i64 = 10;
/// Becomes ready at `available_at`.
pub(crate) const DELAYED: i64 = 11;
/// Ready again after its lease ended: claimed alone.
pub(crate) const SUSPECT: i64 = 12;
/// Somebody holds it.
pub(crate) const LEASED: i64 = 13;
/// Done, and kept for the retention.
pub(crate) const ACKED: i64 = 14;
