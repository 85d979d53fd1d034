//! SQLite's errors in the library's words: the one place where its codes are read.

use events_core::{Error, ErrorKind, Op};
use rusqlite::ErrorCode;

/// The name under which errors are reported.
pub(crate) const BACKEND: &str = "poll_queue";

/// Maps an error of the driver.
pub(crate) fn sqlite(op: Op, error: rusqlite::Error) -> Error {
    let (kind, detail) = match &error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            let text = message.as_deref().unwrap_or_default();
            (
                kind_of(failure.code, failure.extended_code, text),
                way_out(failure.code, text),
            )
        }
        rusqlite::Error::SqlInputError { msg, .. } => (
            kind_of(ErrorCode::Unknown, 1, msg),
            way_out(ErrorCode::Unknown, msg),
        ),
        rusqlite::Error::QueryReturnedNoRows => (ErrorKind::Backend, "a row is missing".into()),
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => (
            ErrorKind::Codec,
            "a stored value has another type than this library writes".into(),
        ),
        _ => (ErrorKind::Backend, "SQLite refused the call".into()),
    };
    Error::new(kind, op)
        .because(detail)
        .caused_by(error)
        .in_backend(BACKEND)
}

fn kind_of(code: ErrorCode, extended: i32, text: &str) -> ErrorKind {
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => ErrorKind::Busy,
        ErrorCode::DiskFull => ErrorKind::StorageFull,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => ErrorKind::Corrupt,
        ErrorCode::ReadOnly
        | ErrorCode::PermissionDenied
        | ErrorCode::AuthorizationForStatementDenied => ErrorKind::Permission,
        ErrorCode::CannotOpen
        | ErrorCode::SystemIoFailure
        | ErrorCode::FileLockingProtocolFailed => ErrorKind::Unavailable,
        ErrorCode::TooBig => ErrorKind::InvalidInput,
        _ if extended & 0xff == 1 && text.contains("no such table") => ErrorKind::SchemaMissing,
        _ => ErrorKind::Backend,
    }
}

fn way_out(code: ErrorCode, text: &str) -> String {
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            "another process held the write lock for longer than the busy timeout; keep its transactions short".to_owned()
        }
        ErrorCode::DiskFull => "the disk or the database's page limit is full; free space and try again".to_owned(),
        ErrorCode::NotADatabase => "the file is not an SQLite database".to_owned(),
        ErrorCode::DatabaseCorrupt => {
            "the database file is damaged; stop writing to it and restore a backup".to_owned()
        }
        ErrorCode::ReadOnly => "the file or its folder is not writable for this user".to_owned(),
        ErrorCode::PermissionDenied => "this user may not open the file".to_owned(),
        ErrorCode::CannotOpen => "the file cannot be opened; check that its folder exists".to_owned(),
        ErrorCode::SystemIoFailure => "the operating system reported an I/O error".to_owned(),
        _ if text.contains("no such table") => {
            format!("{text}; create the tables with `events migrate up` or auto_migrate = true")
        }
        // A constraint or trigger of the user's own may quote values, so its text stays in the cause.
        ErrorCode::ConstraintViolation => "a constraint or trigger refused the row".to_owned(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn each_code_has_its_kind() {
        let table = [
            (ffi::SQLITE_BUSY, ErrorKind::Busy),
            (ffi::SQLITE_BUSY_SNAPSHOT, ErrorKind::Busy),
            (ffi::SQLITE_LOCKED, ErrorKind::Busy),
            (ffi::SQLITE_FULL, ErrorKind::StorageFull),
            (ffi::SQLITE_CORRUPT, ErrorKind::Corrupt),
            (ffi::SQLITE_NOTADB, ErrorKind::Corrupt),
            (ffi::SQLITE_READONLY, ErrorKind::Permission),
            (ffi::SQLITE_PERM, ErrorKind::Permission),
            (ffi::SQLITE_AUTH, ErrorKind::Permission),
            (ffi::SQLITE_CANTOPEN, ErrorKind::Unavailable),
            (ffi::SQLITE_IOERR_FSYNC, ErrorKind::Unavailable),
            (ffi::SQLITE_PROTOCOL, ErrorKind::Unavailable),
            (ffi::SQLITE_TOOBIG, ErrorKind::InvalidInput),
            (ffi::SQLITE_CONSTRAINT, ErrorKind::Backend),
            (ffi::SQLITE_INTERNAL, ErrorKind::Backend),
        ];
        for (code, kind) in table {
            let failure = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            assert_eq!(sqlite(Op::Publish, failure).kind(), kind, "code {code}");
        }
    }

    #[test]
    fn a_missing_table_names_the_command() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let error = connection.prepare("SELECT 1 FROM nowhere").unwrap_err();
        let error = sqlite(Op::Publish, error);
        assert_eq!(error.kind(), ErrorKind::SchemaMissing);
        assert!(
            error.to_string().contains("nowhere")
                && error.to_string().contains("events migrate up")
        );
    }

    #[test]
    fn a_refused_row_is_not_quoted() {
        let failure = rusqlite::Error::SqliteFailure(
            ffi::Error::new(ffi::SQLITE_CONSTRAINT),
            Some("canary".into()),
        );
        assert!(!sqlite(Op::Publish, failure).to_string().contains("canary"));
    }
}
