//! PostgreSQL's errors in the library's words; its codes are read by `events-pg-native`.

use deadpool_postgres::PoolError;
use events_core::{Error, ErrorKind, Op};
use events_pg_native::{driver_error, pool_error};

/// The name under which errors are reported.
pub(crate) const BACKEND: &str = "poll_queue";

/// Maps an error of the driver.
pub(crate) fn postgres(op: Op, error: tokio_postgres::Error) -> Error {
    driver_error(op, error).in_backend(BACKEND)
}

/// Maps an error of the pool.
pub(crate) fn pool(op: Op, error: PoolError) -> Error {
    pool_error(op, error).in_backend(BACKEND)
}

/// No connection for an operation; nothing was asked.
pub(crate) fn none_in_time(op: Op, limit: std::time::Duration) -> Error {
    Error::new(ErrorKind::Busy, op)
        .because(format!(
            "no connection became free or could be made within {limit:?}; use a larger pool_size, or see whether the server answers"
        ))
        .in_backend(BACKEND)
}

/// An operation that the server did not answer in time.
pub(crate) fn timed_out(op: Op, limit: std::time::Duration) -> Error {
    Error::new(ErrorKind::Timeout, op)
        .because(format!(
            "the server did not answer within {limit:?}; whether it did the work is not known"
        ))
        .in_backend(BACKEND)
}
