//! PostgreSQL's errors in the library's words: the one place where its codes are read.

use std::error::Error as _;

use deadpool_postgres::{PoolError, TimeoutType};
use events_core::{Error, ErrorKind, Op};
use tokio_postgres::error::SqlState;

/// The name under which errors are reported.
pub(crate) const BACKEND: &str = "poll_queue";

/// Maps an error of the driver.
pub(crate) fn postgres(op: Op, error: tokio_postgres::Error) -> Error {
    let (kind, detail) = match error.as_db_error() {
        Some(db) => (kind_of(db.code()), way_out(db.code(), db.message())),
        None => without_code(&error),
    };
    Error::new(kind, op)
        .because(detail)
        .caused_by(error)
        .in_backend(BACKEND)
}

/// Maps an error of the pool.
pub(crate) fn pool(op: Op, error: PoolError) -> Error {
    let (kind, detail) = match error {
        PoolError::Backend(error) => return postgres(op, error),
        PoolError::Timeout(TimeoutType::Wait) => (
            ErrorKind::Busy,
            "every connection of the pool was in use for longer than the time limit; enlarge the pool",
        ),
        PoolError::Timeout(_) => (
            ErrorKind::Unavailable,
            "no connection was made within the time limit",
        ),
        PoolError::Closed => (
            ErrorKind::Closed,
            "the channel was shut down; open a new one",
        ),
        _ => (ErrorKind::Backend, "the pool of connections failed"),
    };
    Error::new(kind, op).because(detail).in_backend(BACKEND)
}

/// An operation that the server did not answer in time.
pub(crate) fn timed_out(op: Op, limit: std::time::Duration) -> Error {
    Error::new(ErrorKind::Timeout, op)
        .because(format!(
            "the server did not answer within {limit:?}; whether it did the work is not known"
        ))
        .in_backend(BACKEND)
}

/// Whether the transaction was undone because of another one, so that it can simply be run again.
pub(crate) fn is_conflict(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE)
    )
}

fn kind_of(code: &SqlState) -> ErrorKind {
    match code.code() {
        "42P01" | "42883" | "42703" | "3F000" => ErrorKind::SchemaMissing,
        "42501" => ErrorKind::Permission,
        "53100" => ErrorKind::StorageFull,
        "57014" => ErrorKind::Timeout,
        "57P01" | "57P02" | "57P03" | "57P05" | "25006" => ErrorKind::Unavailable,
        "55P03" | "55006" => ErrorKind::Busy,
        "3D000" => ErrorKind::NotConfigured,
        "XX001" | "XX002" => ErrorKind::Corrupt,
        // By class: connection, login, resources, conflicts, data.
        code => match &code[..2] {
            "08" => ErrorKind::Unavailable,
            "28" => ErrorKind::Auth,
            "53" | "40" => ErrorKind::Busy,
            "22" | "54" => ErrorKind::InvalidInput,
            _ => ErrorKind::Backend,
        },
    }
}

fn way_out(code: &SqlState, text: &str) -> String {
    match code.code() {
        "42P01" | "42883" | "42703" | "3F000" => {
            format!("{text}; create the tables with `events migrate up` or auto_migrate = true")
        }
        "25006" => "the server is read-only, as a standby is; connect to the primary".to_owned(),
        "53100" => "the disk of the server is full; free space and try again".to_owned(),
        "53300" => "the server allows no more connections; use a smaller pool or raise max_connections".to_owned(),
        "57014" => "the server cancelled the statement; a statement_timeout is too short or somebody cancelled it".to_owned(),
        // Constraints, triggers and data errors may quote values, so the text stays in the cause.
        code if code.starts_with("23") => "a constraint or trigger refused the row".to_owned(),
        code if code.starts_with("22") => "the server refused a value".to_owned(),
        code if code.starts_with("P0") => "a function or trigger raised an error".to_owned(),
        _ => text.to_owned(),
    }
}

/// Errors that no server reported.
fn without_code(error: &tokio_postgres::Error) -> (ErrorKind, String) {
    let conversion = error
        .source()
        .is_some_and(|source| source.is::<tokio_postgres::types::WrongType>());
    if conversion {
        return (
            ErrorKind::Codec,
            "a column has another type than this library writes".to_owned(),
        );
    }
    if error.is_closed()
        || error
            .source()
            .is_some_and(|source| source.is::<std::io::Error>())
    {
        return (
            ErrorKind::Unavailable,
            "the connection to the server was lost or cannot be made".to_owned(),
        );
    }
    (
        ErrorKind::Unavailable,
        "the server cannot be reached as configured".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_kind() {
        let table = [
            ("42P01", ErrorKind::SchemaMissing),
            ("42883", ErrorKind::SchemaMissing),
            ("3F000", ErrorKind::SchemaMissing),
            ("42501", ErrorKind::Permission),
            ("28P01", ErrorKind::Auth),
            ("28000", ErrorKind::Auth),
            ("3D000", ErrorKind::NotConfigured),
            ("53100", ErrorKind::StorageFull),
            ("53200", ErrorKind::Busy),
            ("53300", ErrorKind::Busy),
            ("55P03", ErrorKind::Busy),
            ("40001", ErrorKind::Busy),
            ("40P01", ErrorKind::Busy),
            ("57014", ErrorKind::Timeout),
            ("57P01", ErrorKind::Unavailable),
            ("57P02", ErrorKind::Unavailable),
            ("57P03", ErrorKind::Unavailable),
            ("08006", ErrorKind::Unavailable),
            ("25006", ErrorKind::Unavailable),
            ("22P02", ErrorKind::InvalidInput),
            ("54000", ErrorKind::InvalidInput),
            ("XX001", ErrorKind::Corrupt),
            ("23505", ErrorKind::Backend),
            ("42601", ErrorKind::Backend),
        ];
        for (code, kind) in table {
            assert_eq!(kind_of(&SqlState::from_code(code)), kind, "code {code}");
        }
    }

    #[test]
    fn what_may_quote_a_value_is_not_repeated() {
        for code in ["23505", "23514", "22P02", "P0001"] {
            let text = way_out(&SqlState::from_code(code), "canary");
            assert!(!text.contains("canary"), "{code}: {text}");
        }
        let text = way_out(
            &SqlState::from_code("42P01"),
            "relation \"x\" does not exist",
        );
        assert!(
            text.contains("\"x\"") && text.contains("events migrate up"),
            "{text}"
        );
    }
}
