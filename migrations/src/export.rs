//! The migrations as plain files, for users of other migration tools.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use events_core::{Error, ErrorKind, Op, Result, TableName};

use crate::{Dialect, all};

/// Writes [`files`] to the folder `dir`, as [`write()`] does.
///
/// # Errors
/// Those of [`write()`].
pub fn export(dialect: Dialect, table: &TableName, dir: &Path) -> Result<Vec<PathBuf>> {
    write(dir, files(dialect, table))
}

/// Every migration for `table` as two files, `0001_name.up.sql` and `0001_name.down.sql`: names and
/// contents. Tables made from these files need no row in the ledger.
#[must_use]
pub fn files(dialect: Dialect, table: &TableName) -> Vec<(String, String)> {
    all(dialect)
        .iter()
        .flat_map(|migration| {
            [
                (migration.up_file(), migration.up),
                (migration.down_file(), migration.down),
            ]
        })
        .map(|(name, sql)| (name, dialect.render(table, sql)))
        .collect()
}

/// Writes files to the folder `dir`, and returns their paths.
///
/// Makes the folder if need be. A file that already has the right content is left alone.
///
/// # Errors
/// `InvalidInput` when a file of that name has other content; then nothing is written. Otherwise
/// what the file system says.
pub fn write(dir: &Path, files: Vec<(String, String)>) -> Result<Vec<PathBuf>> {
    let files = files.into_iter().map(|(name, sql)| (dir.join(name), sql));
    let files: Vec<(PathBuf, String)> = files.collect();
    // All are looked at before any is written, so that a refusal leaves no half of a set.
    let mut missing = Vec::new();
    for (path, sql) in &files {
        match fs::read(path) {
            Ok(found) if found == sql.as_bytes() => {}
            Ok(_) => return Err(has_other_content(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push((path, sql)),
            Err(error) => return Err(failed(path, error)),
        }
    }
    fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    for (path, sql) in missing {
        write_new(path, sql).map_err(|error| failed(path, error))?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// Never replaces a file, not even one that appeared a moment ago.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

fn has_other_content(path: &Path) -> Error {
    Error::invalid_input(
        Op::Migrate,
        format!("file {path:?} has other content: move it away or export to another folder"),
    )
}

fn failed(path: &Path, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ErrorKind::Permission
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
        _ => ErrorKind::InvalidInput,
    };
    Error::new(kind, Op::Migrate)
        .because(format!("cannot export to {path:?}: {error}"))
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(dir: &Path) -> Result<Vec<PathBuf>> {
        export(Dialect::Sqlite, &TableName::new("app_events").unwrap(), dir)
    }

    #[test]
    fn files_hold_plain_sql_for_the_table() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new/folder");
        let paths = run(&dir).unwrap();
        let names = [
            "0001_create_event_queue.up.sql",
            "0001_create_event_queue.down.sql",
        ];
        assert_eq!(paths, names.map(|name| dir.join(name)));
        let up = fs::read_to_string(&paths[0]).unwrap();
        assert!(up.contains("CREATE TABLE \"app_events\" ("), "{up}");
        assert!(!up.contains(TableName::DEFAULT), "{up}");
        assert!(
            fs::read_to_string(&paths[1])
                .unwrap()
                .contains("DROP TABLE")
        );
    }

    #[test]
    fn a_second_export_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let first = run(folder.path()).unwrap();
        let written = fs::metadata(&first[0]).unwrap().modified().unwrap();
        assert_eq!(run(folder.path()).unwrap(), first);
        assert_eq!(
            fs::metadata(&first[0]).unwrap().modified().unwrap(),
            written
        );
    }

    #[test]
    fn a_file_of_someone_else_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let down = folder.path().join("0001_create_event_queue.down.sql");
        fs::write(&down, "mine").unwrap();
        let error = run(folder.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(
            error.to_string().contains("create_event_queue.down.sql"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&down).unwrap(), "mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = run(&file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("file"), "{error}");
    }
}
