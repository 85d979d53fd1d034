//! What a call answers when it fails.

use std::fmt;

use crate::value::{Binds, Value};

/// An error of the server: Oracle's number and a text that begins with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OraError {
    /// The number, as in `ORA-00942`.
    pub code: i32,
    /// The whole text, `ORA-00942: …`.
    pub message: String,
}

impl OraError {
    /// The error with this number, and this text after it.
    pub fn new(code: i32, text: impl fmt::Display) -> Self {
        Self {
            code,
            message: format!("ORA-{code:05}: {text}"),
        }
    }

    /// What a test asked for. Errors about values quote them, as a server's do.
    pub(crate) fn planned(code: i32, binds: &Binds) -> Self {
        if !matches!(code, 1 | 2290 | 20_000..=20_999 | 40_000..=40_999) {
            return Self::new(code, "planned by the test");
        }
        let quoted: Vec<_> = binds
            .0
            .iter()
            .filter_map(|bind| match &bind.value {
                Value::Text(text) => Some(text.clone()),
                Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
                _ => None,
            })
            .collect();
        Self::new(
            code,
            format_args!("planned by the test: {}", quoted.join(", ")),
        )
    }

    /// The same inside another error.
    pub(crate) fn inside(self, code: i32) -> Self {
        match code {
            0 => self,
            code => Self::new(
                code,
                format_args!("error at a lower level\n{}", self.message),
            ),
        }
    }

    /// A statement that this stand-in does not know: never guessed at.
    pub fn unknown(statement: &str) -> Self {
        Self::new(
            900,
            format_args!("no engine of the stand-in understands: {statement}"),
        )
    }

    /// The session is gone, as a client sees it in the midst of a call.
    pub fn session_gone() -> Self {
        Self::new(3113, "end-of-file on communication channel")
    }
}

impl fmt::Display for OraError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for OraError {}

/// A fault of the stand-in's own state is an internal error of the server.
impl From<rusqlite::Error> for OraError {
    fn from(error: rusqlite::Error) -> Self {
        Self::new(
            600,
            format_args!("internal error code of the stand-in: {error}"),
        )
    }
}
