//! What may go wrong, made to go wrong: one module for each fault.

mod cancellation;
mod failpoints;
mod io_errors;
mod model;
mod peer;
mod upkeep;
mod watch;
