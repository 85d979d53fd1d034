//! What the server says, in the library's words: the one place where its codes are read.

use std::fmt;

use events_core::{Error, ErrorKind, Op};
use tokio_postgres::error::{DbError, SqlState};

use crate::error::BACKEND;

/// Maps what the server said. Its details are left out, because they can quote values.
pub(crate) fn server(op: Op, said: &DbError) -> Error {
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
