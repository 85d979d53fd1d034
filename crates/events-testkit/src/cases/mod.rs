//! The cases, by subject.

#![expect(clippy::missing_errors_doc, reason = "a case fails with any error")]
#![expect(clippy::missing_panics_doc, reason = "a case fails by panicking")]

pub mod admin;
pub mod blocking;
pub mod close;
pub mod figures;
pub mod groups;
pub mod lease;
pub mod listen;
pub mod options;
pub mod polling;
pub mod publish;
pub mod retries;
pub mod settle;
pub mod transient;
