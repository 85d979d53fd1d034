//! What an error code of Oracle means for a caller.

use events_core::ErrorKind;

/// A class of errors: a caller of the driver does the same for all of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// A dequeue found nothing; no error.
    NoMessage,
    /// A queue does not exist, is not started, or the packages for queues are not granted.
    NotConfigured,
    /// The queue or the server is set up in another way than the configuration says.
    Configuration,
    /// A call that this library must not make.
    Programming,
    /// What is to be made exists already.
    Exists,
    /// A privilege is missing.
    Privilege,
    /// A table or column is missing.
    SchemaMissing,
    /// The edition of the server lacks a feature.
    FeatureMissing,
    /// A unique key is there already.
    Conflict,
    /// Something that is no JSON, or that the table refuses.
    InvalidPayload,
    /// Another session stood in the way; the transaction can be run again.
    Retry,
    /// We ended the call.
    Cancelled,
    /// The call took longer than its limit; the session may live.
    Timeout,
    /// The session is gone.
    Disconnected,
    /// No session can be made now.
    Unavailable,
    /// The login is refused.
    Auth,
    /// No space is left.
    Storage,
    /// Oracle's client library is missing or does not fit.
    ClientLibrary,
    /// Anything else.
    Other,
}

impl Class {
    /// The class of `ORA-` followed by this number.
    #[must_use]
    pub fn of_code(code: i32) -> Self {
        match code {
            25228 | 25263 => Self::NoMessage,
            24010 | 25205 | 24002 | 25226 | 25207 => Self::NotConfigured,
            25215 | 25231 | 24033 | 25298 | 406 => Self::Configuration,
            25201 | 25203 | 25237 | 25242 | 24019 | 24005 => Self::Programming,
            24001 | 24006 | 955 | 1408 | 2264 => Self::Exists,
            1031 | 1045 => Self::Privilege,
            942 | 4043 | 904 => Self::SchemaMissing,
            439 => Self::FeatureMissing,
            1 => Self::Conflict,
            2290 | 40000..=40999 => Self::InvalidPayload,
            54 | 60 | 30006 | 8177 => Self::Retry,
            1013 => Self::Cancelled,
            3136 | 3156 | 12161 => Self::Timeout,
            22 | 28 | 31 | 45 | 378 | 602 | 603 | 609 | 1012 | 1041 | 1043 | 1089 | 1092 | 2396
            | 3113 | 3114 | 3122 | 3135 | 12153 | 12537 | 12547 | 12570 | 12583 | 27146 | 28511
            | 56600 => Self::Disconnected,
            12541 | 12514 | 12505 | 12170 | 12545 | 12154 | 12516 | 12519 | 12520 | 12518
            | 12526 | 12527 | 12528 | 12535 | 12543 | 12560 | 12571 | 12606 | 12609 | 1033
            | 1034 | 1035 | 1090 | 1109 | 27101 | 18 | 20 | 24418 | 24459 => Self::Unavailable,
            1017 | 28000 | 28001 => Self::Auth,
            1653 | 1654 | 1536 | 1652 | 1688 | 1691 | 1692 | 257 | 12953 | 12954 | 30036 => {
                Self::Storage
            }
            _ => Self::Other,
        }
    }

    /// The class of `DPI-` followed by this number, where that says more than the code that it
    /// wraps.
    pub(crate) fn of_driver_code(code: i32) -> Option<Self> {
        match code {
            1047 | 1050 | 1072 => Some(Self::ClientLibrary),
            1067 => Some(Self::Timeout),
            1010 | 1080 => Some(Self::Disconnected),
            _ => None,
        }
    }

    /// The kind that callers of the library see.
    #[must_use]
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::NotConfigured | Self::ClientLibrary => ErrorKind::NotConfigured,
            Self::Configuration => ErrorKind::InvalidConfig,
            Self::Privilege => ErrorKind::Permission,
            Self::SchemaMissing => ErrorKind::SchemaMissing,
            Self::FeatureMissing => ErrorKind::Unsupported,
            Self::InvalidPayload => ErrorKind::InvalidInput,
            Self::Retry => ErrorKind::Busy,
            Self::Cancelled => ErrorKind::Closed,
            Self::Timeout => ErrorKind::Timeout,
            Self::Disconnected | Self::Unavailable => ErrorKind::Unavailable,
            Self::Auth => ErrorKind::Auth,
            Self::Storage => ErrorKind::StorageFull,
            Self::NoMessage | Self::Programming | Self::Exists | Self::Conflict | Self::Other => {
                ErrorKind::Backend
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_class_and_kind() {
        let table: [(&[i32], Class, ErrorKind); 17] = [
            (&[25228, 25263], Class::NoMessage, ErrorKind::Backend),
            (
                &[24010, 25205, 24002, 25226, 25207],
                Class::NotConfigured,
                ErrorKind::NotConfigured,
            ),
            (
                &[25215, 25231, 24033, 25298, 406],
                Class::Configuration,
                ErrorKind::InvalidConfig,
            ),
            (
                &[25201, 25203, 25237, 25242, 24019, 24005],
                Class::Programming,
                ErrorKind::Backend,
            ),
            (&[24001, 24006, 955], Class::Exists, ErrorKind::Backend),
            (&[1031], Class::Privilege, ErrorKind::Permission),
            (
                &[942, 4043, 904],
                Class::SchemaMissing,
                ErrorKind::SchemaMissing,
            ),
            (&[439], Class::FeatureMissing, ErrorKind::Unsupported),
            (&[1], Class::Conflict, ErrorKind::Backend),
            (
                &[2290, 40441, 40587],
                Class::InvalidPayload,
                ErrorKind::InvalidInput,
            ),
            (&[54, 60, 30006, 8177], Class::Retry, ErrorKind::Busy),
            (&[1013], Class::Cancelled, ErrorKind::Closed),
            (&[3136, 3156, 12161], Class::Timeout, ErrorKind::Timeout),
            (
                &[
                    22, 28, 31, 45, 378, 602, 603, 609, 1012, 1041, 1043, 1089, 1092, 2396, 3113,
                    3114, 3122, 3135, 12153, 12537, 12547, 12570, 12583, 27146, 28511, 56600,
                ],
                Class::Disconnected,
                ErrorKind::Unavailable,
            ),
            (
                &[
                    12541, 12514, 12505, 12170, 12545, 12154, 12516, 12519, 12520, 12518, 12526,
                    12527, 12528, 12535, 12543, 12560, 12571, 12606, 12609, 1033, 1034, 1035, 1090,
                    1109, 27101, 18, 20, 24418, 24459,
                ],
                Class::Unavailable,
                ErrorKind::Unavailable,
            ),
            (&[1017, 28000, 28001], Class::Auth, ErrorKind::Auth),
            (
                &[
                    1653, 1654, 1536, 1652, 1688, 1691, 1692, 257, 12953, 12954, 30036,
                ],
                Class::Storage,
                ErrorKind::StorageFull,
            ),
        ];
        for (codes, class, kind) in table {
            for code in codes {
                assert_eq!(Class::of_code(*code), class, "ORA-{code:05}");
            }
            assert_eq!(class.kind(), kind, "{class:?}");
        }
        assert_eq!(Class::of_code(12345), Class::Other);
    }

    #[test]
    fn the_codes_of_the_driver_have_theirs() {
        let table = [
            (1047, Some(Class::ClientLibrary)),
            (1050, Some(Class::ClientLibrary)),
            (1072, Some(Class::ClientLibrary)),
            (1067, Some(Class::Timeout)),
            (1080, Some(Class::Disconnected)),
            (1010, Some(Class::Disconnected)),
            (1002, None),
        ];
        for (code, class) in table {
            assert_eq!(Class::of_driver_code(code), class, "DPI-{code}");
        }
        assert_eq!(Class::ClientLibrary.kind(), ErrorKind::NotConfigured);
    }
}
