//! A shipped statement in the words of SQLite: a fixed list of rewrites, nothing is guessed.

use crate::OraError;
use crate::sql;
use crate::value::Kind;

/// A statement and its parts, as far as locks need them.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) name: String,
    pub(super) verb: Verb,
    /// The whole statement for SQLite.
    pub(super) text: String,
    /// The table that it changes or locks, without quotes.
    pub(super) table: String,
    pub(super) variables: Vec<String>,
    pub(super) skips_locked: bool,
    pub(super) waits_for_locks: bool,
    list: String,
    condition: String,
    order: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Select,
    Insert,
    Update,
    Delete,
    Alter,
}

/// The name in the comment at the begin, `events.table.claim`.
pub(super) fn tag(sql: &str) -> Option<&str> {
    let tag = sql.strip_prefix("/* ")?.split(" */").next()?;
    (tag.starts_with("events.table.") || tag.starts_with("events.tables.")).then_some(tag)
}

impl Statement {
    pub(super) fn new(name: &str, sql: &str) -> Result<Self, OraError> {
        let mut text = without_schema(&words(sql));
        text = text
            .replace("SYS_EXTRACT_UTC(SYSTIMESTAMP)", "ora_now()")
            .replace("LEAST(", "min(")
            .replace("GREATEST(", "max(")
            .replace("NUMTODSINTERVAL(", "ora_interval(");
        let waits = text.strip_suffix(" FOR UPDATE").map(str::to_owned);
        let skips = text
            .strip_suffix(" FOR UPDATE SKIP LOCKED")
            .map(str::to_owned);
        let (skips_locked, waits_for_locks) = (skips.is_some(), waits.is_some());
        let text = skips.or(waits).unwrap_or(text);
        let (verb, before_table) = [
            (Verb::Select, " FROM "),
            (Verb::Insert, "INSERT INTO "),
            (Verb::Update, "UPDATE "),
            (Verb::Delete, "DELETE FROM "),
            (Verb::Alter, "ALTER TABLE "),
        ]
        .into_iter()
        .find(|(verb, word)| match verb {
            Verb::Select => text.starts_with("SELECT "),
            _ => text.starts_with(word),
        })
        .ok_or_else(|| OraError::unknown(sql))?;
        let from = find_outside(&text, before_table).ok_or_else(|| OraError::unknown(sql))?;
        let rest = &text[from + before_table.len()..];
        let table = rest.split([' ', '(']).next().unwrap_or_default();
        let table = table.trim_matches('"').to_owned();
        let condition = find_outside(&text, " WHERE ").map_or("", |at| &text[at + 7..]);
        let order_at = find_outside(condition, " ORDER BY ");
        Ok(Self {
            name: name.to_owned(),
            verb,
            list: match verb {
                Verb::Select => text["SELECT ".len()..from].to_owned(),
                _ => String::new(),
            },
            condition: condition[..order_at.unwrap_or(condition.len())].to_owned(),
            order: order_at.map_or("", |at| &condition[at..]).to_owned(),
            table,
            variables: sql::variables(sql),
            skips_locked,
            waits_for_locks,
            text,
        })
    }

    /// The numbers of the rows that it would change or lock, in its order.
    pub(super) fn touched(&self) -> String {
        let Self {
            table,
            condition,
            order,
            ..
        } = self;
        let condition = if condition.is_empty() { "1" } else { condition };
        format!("SELECT rowid FROM \"{table}\" WHERE {condition}{order}")
    }

    /// One row of a query that locks, if it still is what was asked for.
    pub(super) fn one_row(&self) -> String {
        let Self {
            list,
            table,
            condition,
            ..
        } = self;
        format!("SELECT {list} FROM \"{table}\" WHERE rowid = :stand_in_row AND ({condition})")
    }

    /// The type of a column of its result.
    pub(super) fn kind(&self, column: &str) -> Kind {
        let column = column.to_ascii_lowercase();
        match &*column {
            name if name.ends_with("_at") => Kind::Timestamp,
            "event_id" => Kind::Raw(16),
            "payload" | "metadata" => Kind::Blob,
            "channel" | "consumer_group" | "column_name" | "table_name" => Kind::Varchar(128),
            "reason" => Kind::Varchar(32),
            "last_error" => Kind::Varchar(4000),
            "id" | "checksum" if self.name.starts_with("ledger") => Kind::Varchar(64),
            _ => Kind::Number,
        }
    }
}

/// The text without comments and with single spaces outside of literals.
fn words(sql: &str) -> String {
    let lines: Vec<&str> = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .filter(|line| !line.trim_start().starts_with("/*"))
        .collect();
    lines
        .join(" ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Without the name of the schema: a server of the stand-in has one.
pub(super) fn without_schema(sql: &str) -> String {
    let mut text = sql.to_owned();
    for dot in ["\".\"", "\".event_channels"] {
        while let Some(at) = text.find(dot) {
            let start = text[..at].rfind('"').unwrap_or(0);
            text.replace_range(start..at + 2, "");
        }
    }
    text
}

/// Where a word first stands outside of parentheses.
fn find_outside(text: &str, word: &str) -> Option<usize> {
    text.match_indices(word).map(|(at, _)| at).find(|at| {
        let before = &text[..*at];
        before.matches('(').count() == before.matches(')').count()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_statement_that_locks() {
        let sql = "/* events.table.due */\n-- Why.\nSELECT id, attempts\n  FROM \"APP\".\"Q\"\n WHERE a = :a AND b IN (SELECT c FROM d WHERE e)\n ORDER BY f\n   FOR UPDATE SKIP LOCKED\n";
        let statement = Statement::new("due", sql).unwrap();
        assert!(statement.skips_locked && !statement.waits_for_locks);
        assert_eq!(statement.table, "Q");
        assert_eq!(
            statement.touched(),
            "SELECT rowid FROM \"Q\" WHERE a = :a AND b IN (SELECT c FROM d WHERE e) ORDER BY f"
        );
        assert_eq!(
            statement.one_row(),
            "SELECT id, attempts FROM \"Q\" WHERE rowid = :stand_in_row AND (a = :a AND b IN (SELECT c FROM d WHERE e))"
        );
    }

    #[test]
    fn a_schema_is_taken_off() {
        assert_eq!(
            without_schema("a \"S\".\"T\" b \"S\".\"U\""),
            "a \"T\" b \"U\""
        );
        assert_eq!(
            without_schema("FROM \"S\".event_channels_migrations WHERE x"),
            "FROM event_channels_migrations WHERE x"
        );
    }
}
