//! The scripts that make and drop tables: the statements inside their blocks, in SQLite's types.

use super::storage::Storage;
use super::translate::without_schema;
use crate::OraError;

/// Runs a script; what is there already is left, as its block does.
pub(super) fn run(
    storage: &Storage,
    script: &str,
    sql: &str,
    version: u32,
) -> Result<(), OraError> {
    let arguments = match script {
        "up" => arguments(sql, "make("),
        "ledger" => arguments(sql, "EXECUTE IMMEDIATE "),
        "down" => arguments(sql, "drop_table("),
        _ => return Err(OraError::unknown(sql)),
    };
    if arguments.is_empty() {
        return Err(OraError::unknown(sql));
    }
    for argument in arguments {
        let statement = argument.split_whitespace().collect::<Vec<_>>().join(" ");
        let statement = without_schema(&statement);
        let made = if script == "down" {
            format!("DROP TABLE IF EXISTS {statement}")
        } else if let Some(constraint) = statement.strip_prefix("ALTER TABLE ") {
            if version < 21 {
                continue;
            }
            json_check(constraint).ok_or_else(|| OraError::unknown(&statement))?
        } else {
            in_types_of_sqlite(&statement)
        };
        storage.make(&made)?;
    }
    if script == "down" {
        // A table of that name that is made later is a new one.
        storage.make(
            "DELETE FROM in_memory WHERE name NOT IN (SELECT upper(name) FROM sqlite_schema)",
        )?;
    }
    Ok(())
}

/// The literals that are handed to a procedure, `'…'` or `q'[…]'`.
fn arguments<'a>(sql: &'a str, call: &str) -> Vec<&'a str> {
    let literal = |(at, _): (usize, &str)| {
        let rest = &sql[at + call.len()..];
        if let Some(rest) = rest.strip_prefix("q'[") {
            return rest.split("]'").next();
        }
        rest.strip_prefix('\'')?.split('\'').next()
    };
    sql.match_indices(call)
        .filter_map(literal)
        .filter(|text| text.starts_with(['C', 'A', '"', ' ', '\n']) && !text.starts_with("DROP"))
        .collect()
}

fn in_types_of_sqlite(statement: &str) -> String {
    let mut text = statement
        .replace(
            "GENERATED ALWAYS AS IDENTITY (CACHE 1000) PRIMARY KEY",
            "PRIMARY KEY AUTOINCREMENT",
        )
        .replace(
            "GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
            "PRIMARY KEY AUTOINCREMENT",
        )
        .replace(
            "DEFAULT SYS_EXTRACT_UTC(SYSTIMESTAMP)",
            "DEFAULT (ora_now())",
        );
    for (theirs, ours) in [
        ("NUMBER(", "INTEGER"),
        ("VARCHAR2(", "TEXT"),
        ("RAW(", "BLOB"),
        ("TIMESTAMP(", "INTEGER"),
    ] {
        while let Some(start) = text.find(&format!(" {theirs}")) {
            let end = text[start..]
                .find(')')
                .map_or(text.len(), |at| start + at + 1);
            let checked = precision(&text[..start], &text[start + 1..end]);
            text.replace_range(start + 1..end, checked.as_deref().unwrap_or(ours));
        }
    }
    text
}

/// The type of a number that has at most so many digits, for the column whose name ends the text.
fn precision(before: &str, theirs: &str) -> Option<String> {
    let digits = theirs.strip_prefix("NUMBER(")?.strip_suffix(')')?;
    let most = 10_i64.checked_pow(digits.parse().ok()?)? - 1;
    let column = before.split_whitespace().next_back()?;
    Some(format!(
        "INTEGER CONSTRAINT \"ORA-01438\" CHECK ({column} BETWEEN -{most} AND {most})"
    ))
}

/// `"T" ADD CONSTRAINT "C" CHECK (payload IS JSON)` as a trigger.
fn json_check(statement: &str) -> Option<String> {
    let (table, rest) = statement.split_once(" ADD CONSTRAINT ")?;
    let (name, column) = rest.split_once(" CHECK (")?;
    let column = column.strip_suffix(" IS JSON)")?;
    Some(format!(
        "CREATE TRIGGER {name} BEFORE INSERT ON {table} WHEN NOT json_valid(CAST(NEW.{column} AS TEXT)) BEGIN SELECT RAISE(ABORT, 'ORA-02290'); END"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_owners() {
        let sql = "CREATE TABLE \"A\".\"T\" ( id NUMBER(19) GENERATED ALWAYS AS IDENTITY (CACHE 1000) PRIMARY KEY, e RAW(16) NOT NULL, c VARCHAR2(128 BYTE), t TIMESTAMP(6) DEFAULT SYS_EXTRACT_UTC(SYSTIMESTAMP) NOT NULL )";
        assert_eq!(
            in_types_of_sqlite(&without_schema(sql)),
            "CREATE TABLE \"T\" ( id INTEGER PRIMARY KEY AUTOINCREMENT, e BLOB NOT NULL, c TEXT, t INTEGER DEFAULT (ora_now()) NOT NULL )"
        );
        let check = json_check("\"T\" ADD CONSTRAINT \"CK\" CHECK (payload IS JSON)").unwrap();
        assert!(check.starts_with("CREATE TRIGGER \"CK\" BEFORE INSERT ON \"T\""));
    }

    #[test]
    fn a_number_has_its_digits() {
        assert_eq!(
            in_types_of_sqlite("( n NUMBER(1) NOT NULL )"),
            "( n INTEGER CONSTRAINT \"ORA-01438\" CHECK (n BETWEEN -9 AND 9) NOT NULL )"
        );
    }

    #[test]
    fn literals_of_a_block() {
        let sql = "PROCEDURE make(ddl VARCHAR2) IS EXECUTE IMMEDIATE ddl; make(q'[CREATE x('-')]'); make('CREATE INDEX i');";
        assert_eq!(arguments(sql, "make("), ["CREATE x('-')", "CREATE INDEX i"]);
    }
}
