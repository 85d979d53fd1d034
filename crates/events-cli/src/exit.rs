//! How the command ends: one line on standard error, and a code that scripts can rely on.

use std::error::Error as _;
use std::io::Write as _;
use std::process::ExitCode;

use event_channels::{Error, ErrorKind};

/// A result of a command.
pub(crate) type Done<T = ()> = Result<T, Failure>;

/// Why the command ends.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments do not make sense.
    Usage(String),
    /// The library said so.
    Library(Error),
    /// Reading or writing failed.
    Io(std::io::Error),
    /// Anything else, in words.
    Failed(String),
    /// Whoever read our output has gone; there is nobody to tell.
    NobodyListens,
}

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Io(_) | Self::Failed(_) => 1,
            Self::NobodyListens => 0,
            Self::Library(error) => match error.kind() {
                ErrorKind::InvalidConfig
                | ErrorKind::InvalidInput
                | ErrorKind::NotCompiled
                | ErrorKind::Unsupported => 2,
                ErrorKind::SchemaMissing | ErrorKind::SchemaNewer => 3,
                ErrorKind::Unavailable
                | ErrorKind::NotConfigured
                | ErrorKind::Auth
                | ErrorKind::Tls
                | ErrorKind::Permission
                | ErrorKind::Timeout
                | ErrorKind::Busy => 4,
                _ => 1,
            },
        }
    }

    /// Writes what happened; a broken standard error changes nothing about the code.
    pub(crate) fn report(&self) -> ExitCode {
        let mut stderr = std::io::stderr().lock();
        let _ = match self {
            Self::Usage(text) | Self::Failed(text) => writeln!(stderr, "error: {text}"),
            Self::Io(error) => writeln!(stderr, "error: {error}"),
            Self::NobodyListens => Ok(()),
            Self::Library(error) => {
                let _ = writeln!(stderr, "error: {error}");
                let mut cause = error.source();
                while let Some(error) = cause {
                    let _ = writeln!(stderr, "  caused by: {error}");
                    cause = error.source();
                }
                Ok(())
            }
        };
        ExitCode::from(self.code())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::NobodyListens,
            _ => Self::Io(error),
        }
    }
}
