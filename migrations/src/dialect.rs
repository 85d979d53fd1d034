//! The databases that have migrations, and the SQL of each.

use events_core::TableName;

use crate::Migration;

/// The table that records which migrations a database has had; its name is the same everywhere.
pub const LEDGER: &str = "event_channels_migrations";

/// A database that the queue tables can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// SQLite, in its `main` schema.
    Sqlite,
    /// PostgreSQL 14 and newer, in the schema of the table's name or else the search path's first.
    Postgres,
    /// PostgreSQL again, for the table of events that a notification cannot carry.
    PostgresSpill,
    /// Oracle 12.1 and newer, names in upper case, in the schema of the table's name or else the
    /// user's.
    Oracle,
}

impl Dialect {
    /// Makes SQL that was written for the default table that of `table`.
    /// Whether a migration is one transaction, tables and all.
    pub(crate) fn is_all_or_nothing(self) -> bool {
        self != Self::Oracle
    }

    pub(crate) fn render(self, table: &TableName, sql: &str) -> String {
        match self {
            // SQLite refuses `CREATE INDEX i ON schema.t`; without a schema, tables go to `main`.
            Self::Sqlite => table.without_schema().render(sql),
            Self::Postgres | Self::PostgresSpill => table.render(sql),
            Self::Oracle => table.render_folded(sql),
        }
    }
}

/// One line of a list: both files of a migration, under the id and name that their path says.
macro_rules! migration {
    ($folder:literal, $number:literal, $name:literal) => {
        Migration {
            id: concat!("ext_events_", $number),
            name: $name,
            up: include_str!(concat!("../", $folder, "/", $number, "_", $name, ".up.sql")),
            down: include_str!(concat!(
                "../",
                $folder,
                "/",
                $number,
                "_",
                $name,
                ".down.sql"
            )),
        }
    };
}

static SQLITE: &[Migration] = &[migration!("sqlite", "0001", "create_event_queue")];
static ORACLE: &[Migration] = &[migration!("oracle", "0001", "create_event_queue")];
static POSTGRES: &[Migration] = &[migration!("postgres", "0001", "create_event_queue")];
static POSTGRES_SPILL: &[Migration] = &[migration!("postgres/spill", "0001", "create_event_spill")];

/// Returns every migration of a database, oldest first.
#[must_use]
pub const fn all(dialect: Dialect) -> &'static [Migration] {
    match dialect {
        Dialect::Sqlite => SQLITE,
        Dialect::Postgres => POSTGRES,
        Dialect::PostgresSpill => POSTGRES_SPILL,
        Dialect::Oracle => ORACLE,
    }
}

/// Returns the statement that creates the [`LEDGER`] unless it exists.
#[must_use]
pub const fn ledger_sql(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => include_str!("../sqlite/ledger.sql"),
        Dialect::Postgres | Dialect::PostgresSpill => include_str!("../postgres/ledger.sql"),
        Dialect::Oracle => include_str!("../oracle/ledger.sql"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    const DIALECTS: [(Dialect, &str); 4] = [
        (Dialect::Sqlite, "sqlite"),
        (Dialect::Postgres, "postgres"),
        (Dialect::PostgresSpill, "postgres/spill"),
        (Dialect::Oracle, "oracle"),
    ];

    /// Longer identifiers are cut by PostgreSQL without an error.
    const MAX_IDENTIFIER: usize = 63;

    /// What our names add to that of the table; with the default's 19 bytes that is all that Oracle
    /// allows before 12.2.
    const MAX_AFFIXES: usize = 11;

    #[test]
    fn every_file_is_embedded_under_its_own_name() {
        for (dialect, folder) in DIALECTS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            let mut files: Vec<String> = fs::read_dir(folder)
                .unwrap()
                .map(Result::unwrap)
                // Scripts for roles, and other tables, are in folders of their own.
                .filter(|entry| entry.file_type().unwrap().is_file())
                .map(|entry| entry.file_name().into_string().unwrap())
                .collect();
            files.sort();
            let mut embedded: Vec<String> = all(dialect)
                .iter()
                .flat_map(|migration| [migration.down_file(), migration.up_file()])
                // One ledger for each database.
                .chain((dialect != Dialect::PostgresSpill).then(|| "ledger.sql".to_owned()))
                .collect();
            embedded.sort();
            assert_eq!(files, embedded);
        }
    }

    #[test]
    fn ids_ascend() {
        for (dialect, _) in DIALECTS {
            assert!(all(dialect).is_sorted_by(|a, b| a.id < b.id));
        }
    }

    #[test]
    fn the_ledger_has_its_name() {
        for (dialect, folder) in DIALECTS {
            let create = match dialect {
                // Oracle knows IF NOT EXISTS from 23ai on.
                Dialect::Oracle => format!("CREATE TABLE {LEDGER} ("),
                _ => format!("CREATE TABLE IF NOT EXISTS {LEDGER} ("),
            };
            assert!(ledger_sql(dialect).contains(&create), "{folder}");
        }
    }

    #[test]
    fn rendering_for_another_table_leaves_no_default_name() {
        for name in ["app_events", "main.app_events"] {
            let table = TableName::new(name).unwrap();
            for migration in all(Dialect::Sqlite) {
                for sql in [migration.up, migration.down] {
                    let rendered = Dialect::Sqlite.render(&table, sql);
                    assert!(!rendered.contains(TableName::DEFAULT), "{rendered}");
                    assert!(!rendered.contains("\"main\""), "{rendered}");
                    assert!(rendered.contains("\"app_events_dead\""), "{rendered}");
                }
            }
        }
        let table = TableName::new("app.events").unwrap();
        for migration in all(Dialect::Postgres) {
            for sql in [migration.up, migration.down] {
                let rendered = Dialect::Postgres.render(&table, sql);
                assert!(!rendered.contains(TableName::DEFAULT), "{rendered}");
                assert!(rendered.contains("\"app\".\"events_dead\""), "{rendered}");
            }
        }
    }

    #[test]
    fn on_oracle_names_are_folded_and_short() {
        let table = TableName::new("app.events").unwrap();
        for migration in all(Dialect::Oracle) {
            for sql in [migration.up, migration.down] {
                let rendered = Dialect::Oracle.render(&table, sql);
                assert!(!rendered.contains(TableName::DEFAULT), "{rendered}");
                assert!(rendered.contains("\"APP\".\"EVENTS_DEAD\""), "{rendered}");
            }
            let rendered = Dialect::Oracle.render(&TableName::default(), migration.up);
            for quoted in rendered.split('"').skip(1).step_by(2) {
                let affixes = quoted.len() - TableName::DEFAULT.len();
                assert!(affixes <= MAX_AFFIXES, "{quoted}");
            }
        }
    }

    #[test]
    fn the_longest_table_name_makes_no_identifier_that_is_cut() {
        let table = TableName::new(&"t".repeat(48)).unwrap();
        for (dialect, _) in DIALECTS {
            for migration in all(dialect) {
                let rendered = dialect.render(&table, migration.up);
                for quoted in rendered.split('"').skip(1).step_by(2) {
                    assert!(
                        quoted.len() <= MAX_IDENTIFIER || dialect != Dialect::Postgres,
                        "{quoted}"
                    );
                }
            }
        }
    }
}
