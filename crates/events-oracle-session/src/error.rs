//! Oracle's errors in the library's words: the one place where its codes are read.

use std::fmt;

use events_core::{Error, ErrorKind, Op};

use crate::Class;

/// The class of an error of the driver, and the code that decided it.
#[must_use]
pub fn class_of(error: &oracle::Error) -> (Class, Option<i32>) {
    let text = error.to_string();
    classify(error.oci_code(), error.dpi_code(), &text)
}

fn classify(oci: Option<i32>, dpi: Option<i32>, text: &str) -> (Class, Option<i32>) {
    if let Some(class) = dpi.and_then(Class::of_driver_code) {
        let last = codes_in(text).last();
        return (class, last);
    }
    if let Some(code) = oci {
        let class = Class::of_code(code);
        if class != Class::Other {
            return (class, Some(code));
        }
    }
    // An error inside a block is wrapped in others, and a package that is not granted has a number
    // of the compiler's.
    let inner = codes_in(text).find(|code| Class::of_code(*code) != Class::Other);
    match inner {
        Some(code) => (Class::of_code(code), Some(code)),
        None if text.contains("PLS-00201") && text.contains("DBMS_AQ") => {
            (Class::NotConfigured, Some(6550))
        }
        None if text.contains("PLS-00201") => (Class::Privilege, Some(6550)),
        None => (Class::Other, oci),
    }
}

/// The numbers behind each `ORA-` in a text.
fn codes_in(text: &str) -> impl Iterator<Item = i32> {
    text.split("ORA-").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit());
        rest[..end.unwrap_or(rest.len())].parse().ok()
    })
}

/// What the server or the driver said, as the cause of an error.
#[derive(Debug)]
struct Said(String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Said {}

impl Said {
    /// The text; of one about values only its numbers, because it can quote a payload.
    fn new(text: String) -> Self {
        let about_values = |code| matches!(code, 1 | 1400..=1499 | 1722 | 1800..=1899 | 2290..=2293 | 6502 | 12_899 | 20_000..=20_999 | 40_000..=40_999);
        if !codes_in(&text).any(about_values) {
            return Self(text);
        }
        let numbers: Vec<_> = codes_in(&text)
            .map(|code| format!("ORA-{code:05}"))
            .collect();
        Self(numbers.join(" "))
    }
}

/// Maps an error of the driver.
#[must_use]
pub fn oracle_error(op: Op, backend: &'static str, error: oracle::Error) -> Error {
    let (class, code) = class_of(&error);
    let text = error.to_string();
    let shown = match (code, error.dpi_code()) {
        (Some(code), _) => format!("ORA-{code:05}: "),
        (None, Some(code)) => format!("DPI-{code}: "),
        (None, None) => String::new(),
    };
    Error::new(class.kind(), op)
        .because(format!("{shown}{}", way_out(class, code, &text)))
        .caused_by(Said::new(text))
        .in_backend(backend)
}

/// The answer to whatever comes after the close.
#[must_use]
pub fn closed(op: Op, backend: &'static str) -> Error {
    Error::new(ErrorKind::Closed, op)
        .because("the channel was shut down; open a new one")
        .in_backend(backend)
}

fn way_out(class: Class, code: Option<i32>, text: &str) -> &'static str {
    match class {
        Class::NoMessage => "no message came in time",
        Class::NotConfigured if code == Some(6550) && text.contains("DBMS_AQADM") => {
            "the package that makes queues is not granted; a DBA says GRANT EXECUTE ON SYS.DBMS_AQADM TO the user, or makes the queue"
        }
        Class::NotConfigured if code == Some(6550) => {
            "the packages for queues are not granted; a DBA says GRANT EXECUTE ON SYS.DBMS_AQ TO the user, and ON SYS.DBMS_AQADM where it makes queues"
        }
        Class::NotConfigured => {
            "the queue does not exist, is not started, or is another schema's without a grant; `events migrate up --backend aq` makes it"
        }
        Class::Configuration => {
            "the queue or the server is set up in another way than the configuration says"
        }
        Class::Programming => "a bug in this library: Oracle refuses the call",
        Class::Exists => "what is to be made exists already",
        Class::Privilege => {
            "the database user lacks a privilege; docs/src/oracle.md lists what is granted"
        }
        Class::SchemaMissing => {
            "a table or column does not exist or is not granted; create the tables with `events migrate up`"
        }
        Class::FeatureMissing => "this edition of the server lacks the feature",
        Class::Conflict => "a unique key is there already",
        Class::InvalidPayload => "the server refused the value as no JSON",
        Class::Retry => "another session stood in the way; try again",
        Class::Cancelled => "the call was ended by this side",
        Class::Timeout => "the server did not answer within the time limit",
        Class::Disconnected => "the session is gone; the next call makes a new one",
        Class::Unavailable => {
            "no session can be made; check host, port, service and that the database is open"
        }
        Class::Auth => "user or password is wrong, expired or locked",
        Class::Storage => "the tablespace or quota is full; extend it",
        Class::ClientLibrary => {
            "Oracle's client library (libclntsh) is missing or does not fit: install Oracle Instant Client Basic 18 or newer with libaio, and put its folder on LD_LIBRARY_PATH or into ldconfig; no other database needs it"
        }
        Class::Other => "the server refused the statement; its text is the cause of this error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wraps_an_error_does_not_hide_it() {
        for (oci, dpi, text, class, code) in [
            (
                Some(942),
                None,
                "ORA-00942: no table",
                Class::SchemaMissing,
                Some(942),
            ),
            (
                Some(6512),
                None,
                "ORA-06512: at line 3\nORA-25205: queue X does not exist",
                Class::NotConfigured,
                Some(25205),
            ),
            (
                Some(6550),
                None,
                "ORA-06550: line 2, column 3:\nPLS-00201: identifier 'DBMS_AQ' must be declared",
                Class::NotConfigured,
                Some(6550),
            ),
            (
                Some(6550),
                None,
                "ORA-06550: line 2, column 3:\nPLS-00201: identifier 'OTHER' must be declared",
                Class::Privilege,
                Some(6550),
            ),
            (
                None,
                Some(1080),
                "DPI-1080: connection was closed by ORA-03113\nORA-03113: end-of-file",
                Class::Disconnected,
                Some(3113),
            ),
            (
                None,
                Some(1067),
                "DPI-1067: call timeout of 400 ms exceeded with ORA-03136",
                Class::Timeout,
                Some(3136),
            ),
            (
                None,
                Some(1047),
                "DPI-1047: Cannot locate",
                Class::ClientLibrary,
                None,
            ),
            (
                Some(12345),
                None,
                "ORA-12345: what",
                Class::Other,
                Some(12345),
            ),
        ] {
            assert_eq!(classify(oci, dpi, text), (class, code), "{text}");
        }
    }

    #[test]
    fn a_missing_client_says_what_to_install() {
        let text = way_out(Class::ClientLibrary, None, "");
        assert!(text.contains("Instant Client") && text.contains("LD_LIBRARY_PATH"));
    }

    #[test]
    fn the_text_of_the_server_stays_in_the_cause() {
        for (said, quoted) in [
            ("ORA-00001: canary", false),
            ("ORA-20001: canary\nORA-06512: at line 1", false),
            ("ORA-01653: unable to extend canary", true),
        ] {
            let cause = oracle::Error::new(oracle::ErrorKind::Other, said);
            let error = oracle_error(Op::Publish, "poll_queue", cause);
            assert!(!error.to_string().contains("canary"), "{error}");
            let whole = format!("{error:?}");
            assert_eq!(whole.contains("canary"), quoted, "{whole}");
            assert!(whole.contains(&said[..9]), "{whole}");
        }
    }

    #[test]
    fn the_grant_that_is_missing_is_the_one_that_is_named() {
        for (package, grant) in [
            ("DBMS_AQ", "ON SYS.DBMS_AQ TO"),
            ("DBMS_AQADM", "ON SYS.DBMS_AQADM TO"),
        ] {
            let said =
                format!("ORA-06550: line 1\nPLS-00201: identifier '{package}' must be declared");
            let cause = oracle::Error::new(oracle::ErrorKind::Other, said);
            let error = oracle_error(Op::Migrate, "aq", cause);
            assert_eq!(error.kind(), ErrorKind::NotConfigured);
            assert!(error.to_string().contains(grant), "{error}");
        }
    }
}
