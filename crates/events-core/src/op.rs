//! The operations of the library.

use std::fmt;

/// What was being done, in errors and in labels of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each name is the operation itself")]
pub enum Op {
    Configure,
    Open,
    Publish,
    Subscribe,
    Claim,
    Receive,
    Ack,
    Nack,
    Extend,
    Listen,
    Migrate,
    Admin,
    CleanUp,
    Shutdown,
}

impl Op {
    /// The word for it, in errors and labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configure => "configure",
            Self::Open => "open",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Claim => "claim",
            Self::Receive => "receive",
            Self::Ack => "ack",
            Self::Nack => "nack",
            Self::Extend => "extend",
            Self::Listen => "listen",
            Self::Migrate => "migrate",
            Self::Admin => "admin",
            Self::CleanUp => "clean-up",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
