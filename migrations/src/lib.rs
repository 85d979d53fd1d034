//! The tables of `event-channels` as numbered migrations, and what to run on a database.
//!
//! This crate plans and does not execute: it knows no driver.
//! A backend reads its ledger into [`Applied`], asks [`plan_up`] or [`plan_down`] for the
//! [`Step`]s, and runs each together with its change to the ledger.
//! [`export()`] writes the same SQL as files for users of other migration tools.
//!
//! The SQL is in one folder per database and uses the default table name, so that a person can
//! run it as it is; every plan names the tables as the configuration does.
//!
//! ```
//! use events_core::TableName;
//! use events_migrations::{Dialect, plan_up};
//!
//! let steps = plan_up(Dialect::Sqlite, &TableName::new("app_events")?, &[])?;
//! assert_eq!(steps[0].id, "ext_events_0001");
//! assert!(steps[0].sql.contains("CREATE TABLE \"app_events\""));
//! # Ok::<(), events_core::Error>(())
//! ```

mod aq;
mod dialect;
mod export;
mod found;
mod migration;
mod plan;

pub use aq::{AqKind, AqQueue};
pub use dialect::{Dialect, LEDGER, all, ledger_sql};
pub use export::{export, files, write};
pub use found::{Expected, Found, Plan};
pub use migration::Migration;
pub use plan::{
    Applied, Direction, MigrationStatus, State, Step, check, plan_down, plan_up, status,
};
