//! Names: the only place where a channel, group or table name is checked and quoted.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, ErrorKind, Op, Result};

/// The longest channel or group name, in bytes; PostgreSQL's native channels allow 63.
pub const MAX_NAME_BYTES: usize = 128;
/// The longest base name of a table, in bytes; leaves room for our suffixes in every database.
pub const MAX_TABLE_BYTES: usize = 48;

const RULE: &str = "a name starts with an ASCII letter or underscore and goes on with ASCII letters, digits or underscores";

/// Whether `text` is `[A-Za-z_][A-Za-z0-9_]*`, looked at byte by byte.
fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn check(what: &str, text: &str, limit: usize, kind: ErrorKind) -> Result<()> {
    let shown = || text.chars().take(80).collect::<String>();
    if !is_identifier(text) {
        return Err(
            Error::new(kind, Op::Configure).because(format!("{what} name {:?}: {RULE}", shown()))
        );
    }
    if text.len() > limit {
        return Err(Error::new(kind, Op::Configure).because(format!(
            "{what} name {:?} is {} bytes long; at most {limit} are allowed, and longer names are never truncated",
            shown(),
            text.len()
        )));
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks a name.
            ///
            /// # Errors
            /// `InvalidInput` when it is not `[A-Za-z_][A-Za-z0-9_]*` of at most
            /// [`MAX_NAME_BYTES`] bytes.
            pub fn new(name: impl AsRef<str>) -> Result<Self> {
                check($what, name.as_ref(), MAX_NAME_BYTES, ErrorKind::InvalidInput)?;
                Ok(Self(Arc::from(name.as_ref())))
            }

            /// The name itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $type {
            type Error = Error;

            fn try_from(name: &str) -> Result<Self> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $type {
            type Error = Error;

            fn try_from(name: String) -> Result<Self> {
                Self::new(name)
            }
        }

        impl TryFrom<&String> for $type {
            type Error = Error;

            fn try_from(name: &String) -> Result<Self> {
                Self::new(name)
            }
        }

        impl From<&$type> for $type {
            fn from(name: &$type) -> Self {
                name.clone()
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl PartialEq<str> for $type {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $type {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name! {
    /// The name of a channel: where events are published and consumed.
    ChannelName, "channel"
}

impl ChannelName {
    /// The name as a quoted identifier, for statements such as `LISTEN` that cannot bind it.
    #[must_use]
    pub fn quoted(&self) -> String {
        // A checked name holds no quote, so quoting needs no doubling.
        format!("\"{self}\"")
    }
}

name! {
    /// The name of a consumer group: every group gets every event, its members compete.
    GroupName, "group"
}

/// The name of the queue table, `[schema.]name`; it renders every identifier derived from it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableName {
    schema: Option<String>,
    base: String,
}

impl TableName {
    /// The table that is used when nothing else is said.
    pub const DEFAULT: &str = "sqlspec_event_queue";

    /// Checks `[schema.]name`.
    ///
    /// # Errors
    /// `InvalidConfig` when a segment is no identifier, there are more than two, the schema is
    /// longer than 63 bytes or the base name longer than [`MAX_TABLE_BYTES`].
    pub fn new(name: &str) -> Result<Self> {
        let (schema, base) = match name.split_once('.') {
            Some((schema, base)) => (Some(schema), base),
            None => (None, name),
        };
        if let Some(schema) = schema {
            check("schema", schema, 63, ErrorKind::InvalidConfig)?;
        }
        check(
            "queue table",
            base,
            MAX_TABLE_BYTES,
            ErrorKind::InvalidConfig,
        )?;
        Ok(Self {
            schema: schema.map(str::to_owned),
            base: base.to_owned(),
        })
    }

    /// The schema, when one was named.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// The name without its schema.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The same table without its schema.
    #[must_use]
    pub fn without_schema(&self) -> Self {
        Self {
            schema: None,
            base: self.base.clone(),
        }
    }

    /// Renders SQL that was written for the default table: each identifier made of the default
    /// name, with a prefix like `idx_` or a suffix like `_dead`, becomes that of this table,
    /// quoted and with its schema. An index is named without schema, as `CREATE INDEX` wants it.
    #[must_use]
    pub fn render(&self, sql: &str) -> String {
        self.render_as(sql, false)
    }

    /// As [`TableName::render`], with every rendered name in upper case, as Oracle folds a name
    /// that is not quoted.
    #[must_use]
    pub fn render_folded(&self, sql: &str) -> String {
        self.render_as(sql, true)
    }

    fn render_as(&self, sql: &str, folded: bool) -> String {
        let mut out = String::with_capacity(sql.len() + 256);
        let mut rest = sql;
        while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_') {
            out.push_str(&rest[..start]);
            rest = &rest[start..];
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            let (word, tail) = rest.split_at(end);
            match word.split_once(Self::DEFAULT) {
                Some((prefix, suffix)) => {
                    let name = self.quoted(prefix, suffix);
                    out.push_str(&if folded {
                        name.to_ascii_uppercase()
                    } else {
                        name
                    });
                }
                None => out.push_str(word),
            }
            rest = tail;
        }
        out.push_str(rest);
        out
    }

    fn quoted(&self, prefix: &str, suffix: &str) -> String {
        // Checked names hold no quote, so quoting needs no doubling.
        let name = format!("\"{prefix}{}{suffix}\"", self.base);
        match self.schema.as_ref().filter(|_| prefix.is_empty()) {
            Some(schema) => format!("\"{schema}\".{name}"),
            None => name,
        }
    }
}

impl Default for TableName {
    fn default() -> Self {
        Self {
            schema: None,
            base: Self::DEFAULT.to_owned(),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.base)
    }
}

impl Serialize for TableName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TableName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_names_that_are_accepted() {
        for good in [
            "a",
            "_",
            "_x9",
            "Notifications",
            "user_events_2",
            &"x".repeat(128),
        ] {
            assert_eq!(ChannelName::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn channel_names_that_are_refused_name_value_and_rule() {
        for bad in [
            "", "9a", "a-b", "a.b", "a b", "a\n", "naïve", "a;", "\"a\"", "a\0",
        ] {
            let error = ChannelName::new(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(
                error.to_string().contains("starts with an ASCII letter"),
                "{error}"
            );
        }
        let error = ChannelName::new("x".repeat(129)).unwrap_err();
        assert!(
            error.to_string().contains("129 bytes") && error.to_string().contains("128"),
            "{error}"
        );
    }

    #[test]
    fn table_names() {
        for good in ["app_events", "app.events", &"t".repeat(48)] {
            assert_eq!(TableName::new(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "a-b",
            "1a",
            "a.",
            ".a",
            "a..b",
            "a.b.c",
            "a@b",
            "a b",
            "a\n",
            &"t".repeat(49),
        ] {
            assert_eq!(
                TableName::new(bad).unwrap_err().kind(),
                ErrorKind::InvalidConfig,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn rendering_reaches_table_suffix_and_index_and_nothing_else() {
        let table = TableName::new("app.ev").unwrap();
        let sql = "CREATE INDEX idx_sqlspec_event_queue_claim ON sqlspec_event_queue (a); DROP TABLE sqlspec_event_queue_dead -- queue";
        assert_eq!(
            table.render(sql),
            "CREATE INDEX \"idx_ev_claim\" ON \"app\".\"ev\" (a); DROP TABLE \"app\".\"ev_dead\" -- queue"
        );
    }
}
