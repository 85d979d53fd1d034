//! Options that are one of several words.

use std::fmt;

use events_core::{Error, Result};

macro_rules! choice {
    (
        $(#[$doc:meta])* $type:ident, $option:literal,
        { $($(#[$variant_doc:meta])* $variant:ident = $name:literal $(| $alias:literal)*,)+ }
        $(retired { $($old:literal => $new:literal,)+ })?
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $type {
            /// The canonical word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Reads the canonical word or an accepted alias.
            ///
            /// # Errors
            /// `InvalidConfig` that lists the accepted words.
            pub fn parse(text: &str) -> Result<Self> {
                match text {
                    $($name $(| $alias)* => Ok(Self::$variant),)+
                    $($($old => Err(Error::invalid_config(format!(
                        "{} {text:?} was removed; use {:?}", $option, $new
                    ))),)+)?
                    _ => Err(Error::invalid_config(format!(
                        "{} {text:?} is unknown; expected one of: {}", $option, [$($name),+].join(", ")
                    ))),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Self::parse(text)
            }
        }
    };
}

choice! {
    /// How events travel through the database.
    BackendKind, "backend",
    {
        /// A durable queue table that consumers poll.
        PollQueue = "poll_queue" | "queue",
        /// PostgreSQL's LISTEN/NOTIFY: at most once.
        Notify = "notify" | "native_postgres",
        /// A durable queue table whose consumers are woken by NOTIFY.
        NotifyQueue = "notify_queue",
        /// Oracle Advanced Queuing.
        Aq = "aq" | "oracle_aq",
        /// Oracle Transactional Event Queues.
        TxEventQ = "txeventq",
    }
    retired {
        "listen_notify" => "notify",
        "listen_notify_durable" => "notify_queue",
        "table_queue" => "poll_queue",
        "advanced_queue" => "aq",
    }
}

choice! {
    /// What happens when the database or this build lacks the wanted backend.
    Fallback, "fallback",
    {
        /// The queue table is used, with one warning.
        Queue = "queue",
        /// Opening fails.
        Error = "error",
    }
}

choice! {
    /// When a message leaves an Oracle queue.
    AqVisibility, "aq_visibility",
    {
        /// With the acknowledgement: at least once.
        OnCommit = "on_commit" | "AQMSG_VISIBLE" | "DEQ_ON_COMMIT",
        /// When it is taken: at most once.
        Immediate = "immediate" | "AQMSG_INVISIBLE" | "DEQ_IMMEDIATE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_aliases_and_retired_names() {
        for (text, kind) in [
            ("poll_queue", BackendKind::PollQueue),
            ("queue", BackendKind::PollQueue),
            ("native_postgres", BackendKind::Notify),
            ("oracle_aq", BackendKind::Aq),
            ("txeventq", BackendKind::TxEventQ),
        ] {
            assert_eq!(BackendKind::parse(text).unwrap(), kind);
        }
        for (old, new) in [("listen_notify", "notify"), ("table_queue", "poll_queue")] {
            let error = BackendKind::parse(old).unwrap_err().to_string();
            assert!(
                error.contains(&format!("was removed; use {new:?}")),
                "{error}"
            );
        }
        let error = BackendKind::parse("kafka").unwrap_err().to_string();
        assert!(
            error.contains("poll_queue, notify, notify_queue, aq, txeventq"),
            "{error}"
        );
        assert_eq!(
            AqVisibility::parse("DEQ_IMMEDIATE").unwrap(),
            AqVisibility::Immediate
        );
    }
}
