//! What may go wrong, made to go wrong: one module for each fault.

mod cancellation;
mod checkpoint;
mod clock_steps;
mod corrupt;
mod failpoints;
mod foreign;
mod full_disk;
mod io_errors;
mod locks;
mod memory;
mod model;
mod peer;
mod pragmas;
mod upkeep;
mod watch;
