//! The command as a script meets it: output, exit codes, errors.

mod edges;
mod ending;
mod errors;
mod events;
mod notify;
mod oracle;
mod permissions;
mod postgres;
mod support;
