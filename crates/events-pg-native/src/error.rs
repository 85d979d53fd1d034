//! PostgreSQL's errors in the library's words: the one place where its codes are read.

use std::error::Error as _;
use std::fmt;

use deadpool_postgres::PoolError;
use events_core::{Error, ErrorKind, Op};
use tokio_postgres::error::{DbError, SqlState};

/// The name under which errors are reported.
pub(crate) const BACKEND: &str = "notify";

/// An error of the driver in the library's words, without anything that could quote a value.
///
/// It is reported for the backend `notify`; another one says so with `in_backend`.
#[must_use]
pub fn driver(op: Op, error: tokio_postgres::Error) -> Error {
    if let Some(said) = error.as_db_error() {
        return server(op, said);
    }
    let (kind, detail) = kind_of(&error);
    let mapped = Error::new(kind, op).because(detail).in_backend(BACKEND);
    match error.into_source() {
        Some(source) => mapped.caused_by(source),
        None => mapped,
    }
}

/// An error of the pool in the library's words, as [`driver_error`](crate::driver_error).
#[must_use]
pub fn pool(op: Op, error: PoolError) -> Error {
    let (kind, detail) = match error {
        PoolError::Backend(error) => return driver(op, error),
        PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => (
            ErrorKind::Busy,
            "no connection of the pool became free in time; use a larger pool_size",
        ),
        PoolError::Timeout(_) => (
            ErrorKind::Unavailable,
            "no connection could be made in time",
        ),
        PoolError::Closed => (ErrorKind::Closed, "the pool of connections is closed"),
        PoolError::NoRuntimeSpecified => (
            ErrorKind::InvalidConfig,
            "the pool has time limits and no runtime; build it with Runtime::Tokio1",
        ),
        PoolError::PostCreateHook(_) => (
            ErrorKind::Backend,
            "a hook of the pool refused a new connection",
        ),
    };
    Error::new(kind, op).because(detail).in_backend(BACKEND)
}

/// Whether the transaction was undone because of another one, so that it can simply be run again.
#[must_use]
pub fn is_conflict(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE)
    )
}

/// A consumer did not keep up, and the policy is to end its subscription.
pub(crate) fn too_slow(capacity: usize) -> Error {
    let why = format!(
        "{capacity} events wait for this consumer; handle them faster, raise listener_queue_capacity, or let listener_overflow drop or block"
    );
    Error::new(ErrorKind::Overflow, Op::Receive)
        .because(why)
        .in_backend(BACKEND)
}

/// Errors that are not the server's answer.
fn kind_of(error: &tokio_postgres::Error) -> (ErrorKind, String) {
    let cause = error.source();
    let text = cause.map(ToString::to_string).unwrap_or_default();
    if cause.is_some_and(|cause| cause.is::<tokio_postgres::types::WrongType>()) {
        let why = "a column has another type than this library writes";
        return (ErrorKind::Codec, why.into());
    }
    let is_tls = cause.is_some_and(is_about_tls)
        // The driver has no code for it.
        || error.to_string().contains("TLS handshake");
    if is_tls {
        return (ErrorKind::Tls, tls_way_out(&text));
    }
    if error.is_closed() {
        return (ErrorKind::Unavailable, "the connection is closed".into());
    }
    match error.to_string().as_str() {
        "authentication error" => (
            ErrorKind::Auth,
            format!("the login cannot be done as the server asks: {text}"),
        ),
        "invalid configuration" if text == "password missing" => (
            ErrorKind::Auth,
            "the server asks for a password and the URL has none".into(),
        ),
        "error connecting to server" => (
            ErrorKind::Unavailable,
            format!("the server cannot be reached: {text}"),
        ),
        "error communicating with the server" => (
            ErrorKind::Unavailable,
            format!("the connection is lost: {text}"),
        ),
        other if text.is_empty() => (ErrorKind::Backend, other.to_owned()),
        other => (ErrorKind::Backend, format!("{other}: {text}")),
    }
}

/// Whether rustls is somewhere among the causes; an I/O error wraps its own.
fn is_about_tls(cause: &(dyn std::error::Error + 'static)) -> bool {
    let inner = cause
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    cause.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>())
}

fn tls_way_out(cause: &str) -> String {
    let way_out = if cause.contains("does not support TLS") {
        "turn ssl on in the server, or use sslmode=disable if the network can be trusted"
    } else if cause.contains("UnknownIssuer") {
        "name the authority that signed the server's certificate with sslrootcert"
    } else if cause.contains("not valid for name") {
        "connect by a name that the certificate holds, or use sslmode=verify-ca"
    } else if cause.contains("xpired") {
        "renew the server's certificate"
    } else if cause.contains("CertificateRequired") || cause.contains("certificate required") {
        "the server wants a certificate of the client; set sslcert and sslkey"
    } else {
        "check sslmode, sslrootcert, sslcert and sslkey"
    };
    format!("{cause}; {way_out}")
}

/// Maps what the server said. Its details are left out, because they can quote values.
fn server(op: Op, said: &DbError) -> Error {
    let (kind, way_out) = kind_of_code(said.code(), said.message());
    let message = shown(said.code(), said.message());
    let detail = match way_out {
        "" => message.to_owned(),
        way_out => format!("{message}; {way_out}"),
    };
    Error::new(kind, op)
        .because(detail)
        .caused_by(Said {
            severity: said.severity().to_owned(),
            code: said.code().code().to_owned(),
            message: message.to_owned(),
        })
        .in_backend(BACKEND)
}

/// What can be shown of a message: those about constraints, values and what a trigger raised can
/// quote a payload.
fn shown<'a>(code: &SqlState, message: &'a str) -> &'a str {
    match &code.code()[..2] {
        "23" => "a constraint or trigger refused the row",
        "22" if *code != SqlState::UNTRANSLATABLE_CHARACTER => "the server refused a value",
        "P0" => "a function or trigger raised an error",
        _ => message,
    }
}

fn kind_of_code(code: &SqlState, message: &str) -> (ErrorKind, &'static str) {
    const TABLE: &[(SqlState, ErrorKind, &str)] = &[
        (
            SqlState::INVALID_PASSWORD,
            ErrorKind::Auth,
            "check the user and the password",
        ),
        (
            SqlState::INVALID_CATALOG_NAME,
            ErrorKind::NotConfigured,
            "create the database, or name another one in the URL",
        ),
        (
            SqlState::INSUFFICIENT_PRIVILEGE,
            ErrorKind::Permission,
            "grant it, or connect as another user",
        ),
        (
            SqlState::TOO_MANY_CONNECTIONS,
            ErrorKind::Busy,
            "raise max_connections of the server, or use a smaller pool_size",
        ),
        (SqlState::DISK_FULL, ErrorKind::StorageFull, ""),
        (SqlState::OUT_OF_MEMORY, ErrorKind::Busy, ""),
        (SqlState::QUERY_CANCELED, ErrorKind::Timeout, ""),
        (
            SqlState::READ_ONLY_SQL_TRANSACTION,
            ErrorKind::Unavailable,
            "this server is a standby or read-only; notifications need the primary, see target_session_attrs",
        ),
        (
            SqlState::UNDEFINED_TABLE,
            ErrorKind::SchemaMissing,
            "create it with `events migrate up`, or auto_migrate = true",
        ),
        (
            SqlState::UNDEFINED_FUNCTION,
            ErrorKind::SchemaMissing,
            "create it with `events migrate up`, or auto_migrate = true",
        ),
        (
            SqlState::UNDEFINED_COLUMN,
            ErrorKind::SchemaMissing,
            "the table is not as this version makes it; see `events migrate status`",
        ),
        (
            SqlState::INVALID_SCHEMA_NAME,
            ErrorKind::SchemaMissing,
            "create the schema, then run `events migrate up`",
        ),
        (SqlState::OBJECT_IN_USE, ErrorKind::Busy, ""),
        (SqlState::DATA_CORRUPTED, ErrorKind::Corrupt, ""),
        (SqlState::INDEX_CORRUPTED, ErrorKind::Corrupt, ""),
        (
            SqlState::UNTRANSLATABLE_CHARACTER,
            ErrorKind::InvalidInput,
            "the database cannot hold this character; use one with encoding UTF8",
        ),
        (
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            ErrorKind::InvalidInput,
            "the database cannot hold this character; use one with encoding UTF8",
        ),
        (
            SqlState::INVALID_PARAMETER_VALUE,
            ErrorKind::InvalidInput,
            "",
        ),
        (SqlState::FEATURE_NOT_SUPPORTED, ErrorKind::Unsupported, ""),
        (
            SqlState::UNDEFINED_PSTATEMENT,
            ErrorKind::NotConfigured,
            "a transaction-pooling proxy stands between; set direct_url",
        ),
    ];
    if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        let wants_tls = message.contains("no encryption") || message.contains("SSL off");
        return if wants_tls {
            (
                ErrorKind::Tls,
                "the server takes no plain connection; use sslmode=verify-full",
            )
        } else if message.contains("certificate") {
            (ErrorKind::Tls, "set sslcert and sslkey")
        } else {
            (ErrorKind::Auth, "see pg_hba.conf of the server")
        };
    }
    if *code == SqlState::PROGRAM_LIMIT_EXCEEDED && message.contains("NOTIFY queue") {
        return (
            ErrorKind::StorageFull,
            "a session that listens has an open transaction or is stuck; pg_notification_queue_usage() tells",
        );
    }
    if let Some((_, kind, way_out)) = TABLE.iter().find(|(known, ..)| known == code) {
        return (*kind, way_out);
    }
    let kind = match &code.code()[..2] {
        // Connection exceptions; the operator ended the session or the server.
        "08" | "57" => ErrorKind::Unavailable,
        // Serialization and deadlock; locks.
        "40" | "55" | "53" => ErrorKind::Busy,
        "28" => ErrorKind::Auth,
        "22" | "54" => ErrorKind::InvalidInput,
        _ => ErrorKind::Backend,
    };
    (kind, "")
}

/// What the server said, without the fields that can quote a value or a statement.
#[derive(Debug)]
struct Said {
    severity: String,
    code: String,
    message: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            severity,
            code,
            message,
        } = self;
        write!(f, "{severity} {code}: {message}")
    }
}

impl std::error::Error for Said {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_kinds_that_callers_act_on() {
        for (code, message, kind) in [
            ("28P01", "password authentication failed", ErrorKind::Auth),
            (
                "28000",
                "no pg_hba.conf entry for host, no encryption",
                ErrorKind::Tls,
            ),
            (
                "28000",
                "connection requires a valid client certificate",
                ErrorKind::Tls,
            ),
            (
                "28000",
                "role \"x\" is not permitted to log in",
                ErrorKind::Auth,
            ),
            (
                "3D000",
                "database \"x\" does not exist",
                ErrorKind::NotConfigured,
            ),
            ("42501", "permission denied", ErrorKind::Permission),
            ("53300", "too many clients already", ErrorKind::Busy),
            ("53100", "no space left", ErrorKind::StorageFull),
            (
                "54000",
                "too many notifications in the NOTIFY queue",
                ErrorKind::StorageFull,
            ),
            ("57P01", "terminating connection", ErrorKind::Unavailable),
            (
                "57P03",
                "the database system is starting up",
                ErrorKind::Unavailable,
            ),
            ("57014", "canceling statement", ErrorKind::Timeout),
            ("08006", "connection failure", ErrorKind::Unavailable),
            ("40P01", "deadlock detected", ErrorKind::Busy),
            (
                "25006",
                "cannot execute NOTIFY during recovery",
                ErrorKind::Unavailable,
            ),
            (
                "42P01",
                "relation \"x\" does not exist",
                ErrorKind::SchemaMissing,
            ),
            (
                "22P05",
                "has no equivalent in encoding",
                ErrorKind::InvalidInput,
            ),
            (
                "26000",
                "prepared statement \"s0\" does not exist",
                ErrorKind::NotConfigured,
            ),
            (
                "42883",
                "function x() does not exist",
                ErrorKind::SchemaMissing,
            ),
            (
                "42703",
                "column \"x\" does not exist",
                ErrorKind::SchemaMissing,
            ),
            (
                "3F000",
                "schema \"x\" does not exist",
                ErrorKind::SchemaMissing,
            ),
            ("53200", "out of memory", ErrorKind::Busy),
            ("55P03", "could not obtain lock", ErrorKind::Busy),
            ("40001", "could not serialize access", ErrorKind::Busy),
            (
                "57P02",
                "crash of another server process",
                ErrorKind::Unavailable,
            ),
            ("22P02", "invalid input syntax", ErrorKind::InvalidInput),
            ("54000", "too many columns", ErrorKind::InvalidInput),
            ("XX001", "invalid page", ErrorKind::Corrupt),
            ("23505", "duplicate key value", ErrorKind::Backend),
            ("42601", "syntax error", ErrorKind::Backend),
            ("XX000", "cache lookup failed", ErrorKind::Backend),
        ] {
            let (mapped, _) = kind_of_code(&SqlState::from_code(code), message);
            assert_eq!(mapped, kind, "{code} {message}");
        }
    }

    #[test]
    fn what_may_quote_a_value_is_not_shown() {
        for code in ["23505", "23514", "22P02", "P0001"] {
            assert!(!shown(&SqlState::from_code(code), "canary").contains("canary"));
        }
        assert_eq!(shown(&SqlState::UNDEFINED_TABLE, "relation"), "relation");
    }
}
