//! The tables themselves, in an SQLite file that the sessions of a server share.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{Value as Stored, ValueRef};
use rusqlite::{Connection, ErrorCode};

use super::translate::Statement;
use crate::OraError;
use crate::value::{Binds, Column, Kind, Value};

/// So many rows are looked at by one query that locks; no caller wants more.
const CANDIDATES: usize = 5000;

pub(super) struct Storage {
    connection: Connection,
    writing: bool,
}

impl Storage {
    pub(super) fn open(path: &Path) -> Result<Self, OraError> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
             CREATE TEMP VIEW dual AS SELECT 'X' AS dummy;
             CREATE TEMP VIEW all_tab_columns AS
             SELECT 'APP' AS owner, upper(m.name) AS table_name, upper(p.name) AS column_name
               FROM main.sqlite_schema m, pragma_table_xinfo(m.name) p;
             CREATE TABLE IF NOT EXISTS main.in_memory (name TEXT PRIMARY KEY);
             CREATE TEMP VIEW all_tables AS
             SELECT 'APP' AS owner, upper(m.name) AS table_name,
                    iif(i.name IS NULL, 'DISABLED', 'ENABLED') AS inmemory,
                    iif(i.name IS NULL, NULL, 'HIGH') AS inmemory_priority
               FROM main.sqlite_schema m LEFT JOIN main.in_memory i ON i.name = upper(m.name)
              WHERE m.type = 'table';",
        )?;
        connection.busy_timeout(Duration::ZERO)?;
        let flags = FunctionFlags::SQLITE_UTF8;
        connection.create_scalar_function("ora_now", 0, flags, |_| Ok(micros()))?;
        connection.create_scalar_function("ora_interval", 2, flags, |context| {
            let time: Option<f64> = context.get(0)?;
            #[expect(clippy::cast_possible_truncation, reason = "times are far smaller")]
            Ok(time.map(|seconds| (seconds * 1e6).round() as i64))
        })?;
        connection.create_scalar_function("SYS_CONTEXT", 2, flags, |_| Ok("APP"))?;
        connection.create_scalar_function("RAWTOHEX", 1, flags, |context| {
            let hex = |byte: &u8| format!("{byte:02X}");
            let raw: Vec<u8> = context.get(0)?;
            Ok(raw.iter().map(hex).collect::<String>())
        })?;
        connection.create_scalar_function("HEXTORAW", 1, flags, |context| {
            let text: String = context.get(0)?;
            let digits = |at: usize| u8::from_str_radix(text.get(at..at + 2).unwrap_or(""), 16);
            let raw: Result<Vec<u8>, _> = (0..text.len()).step_by(2).map(digits).collect();
            raw.map_err(|error| rusqlite::Error::UserFunctionError(error.into()))
        })?;
        connection.create_scalar_function("RPAD", 3, flags, |context| {
            let (text, length, fill) = (
                context.get::<String>(0)?,
                usize::try_from(context.get::<i64>(1)?).unwrap_or_default(),
                context.get::<String>(2)?,
            );
            Ok(text
                .chars()
                .chain(fill.chars().cycle())
                .take(length)
                .collect::<String>())
        })?;
        Ok(Self {
            connection,
            writing: false,
        })
    }

    /// Begins to write, unless another session does.
    pub(super) fn try_begin(&mut self) -> Result<bool, OraError> {
        if self.writing {
            return Ok(true);
        }
        match self.connection.execute_batch("BEGIN IMMEDIATE") {
            Ok(()) => self.writing = true,
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.writing)
    }

    pub(super) fn commit(&mut self) -> Result<(), OraError> {
        if std::mem::take(&mut self.writing) {
            self.connection.execute_batch("COMMIT")?;
        }
        Ok(())
    }

    pub(super) fn rollback(&mut self) -> Result<(), OraError> {
        if std::mem::take(&mut self.writing) {
            self.connection.execute_batch("ROLLBACK")?;
        }
        Ok(())
    }

    /// Runs a change of the tables; one that was made before is no fault.
    pub(super) fn make(&self, sql: &str) -> Result<(), OraError> {
        match self.connection.execute_batch(sql) {
            Err(error) if error.to_string().contains("already exists") => Ok(()),
            other => other.map_err(oracle),
        }
    }

    pub(super) fn execute(&self, statement: &Statement, binds: &Binds) -> Result<u64, OraError> {
        let mut prepared = self
            .connection
            .prepare_cached(&statement.text)
            .map_err(oracle)?;
        bind(&mut prepared, binds, None)?;
        let rows = prepared.raw_execute().map_err(oracle)?;
        Ok(rows as u64)
    }

    pub(super) fn rowids(&self, sql: &str, binds: &Binds) -> Result<Vec<i64>, OraError> {
        let mut prepared = self.connection.prepare_cached(sql).map_err(oracle)?;
        bind(&mut prepared, binds, None)?;
        let mut rows = prepared.raw_query();
        let mut ids = Vec::new();
        while let Some(row) = rows.next().map_err(oracle)? {
            ids.push(row.get(0)?);
            if ids.len() == CANDIDATES {
                break;
            }
        }
        Ok(ids)
    }

    pub(super) fn query(
        &self,
        statement: &Statement,
        binds: &Binds,
    ) -> Result<Vec<Vec<Value>>, OraError> {
        self.rows(statement, &statement.text, binds, None)
    }

    pub(super) fn query_row(
        &self,
        statement: &Statement,
        sql: &str,
        binds: &Binds,
        rowid: i64,
    ) -> Result<Option<Vec<Value>>, OraError> {
        Ok(self.rows(statement, sql, binds, Some(rowid))?.pop())
    }

    fn rows(
        &self,
        statement: &Statement,
        sql: &str,
        binds: &Binds,
        rowid: Option<i64>,
    ) -> Result<Vec<Vec<Value>>, OraError> {
        let mut prepared = self.connection.prepare_cached(sql).map_err(oracle)?;
        let kinds: Vec<Kind> = prepared
            .column_names()
            .map(|name| statement.kind(bare(name)))
            .collect();
        bind(&mut prepared, binds, rowid)?;
        let mut rows = prepared.raw_query();
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(oracle)? {
            let values = kinds
                .iter()
                .enumerate()
                .map(|(column, kind)| Ok(value(row.get_ref(column)?, *kind)));
            all.push(values.collect::<Result<_, OraError>>()?);
        }
        Ok(all)
    }

    pub(super) fn columns(&self, statement: &Statement) -> Result<Vec<Column>, OraError> {
        let prepared = self
            .connection
            .prepare_cached(&statement.text)
            .map_err(oracle)?;
        let column = |name: &str| {
            let name = bare(name);
            Column::new(name.to_ascii_uppercase(), statement.kind(name))
        };
        Ok(prepared.column_names().map(column).collect())
    }

    /// Notes that a table is in the column store, as the catalogue then says.
    pub(super) fn keep_in_memory(&self, table: &str) -> Result<(), OraError> {
        let sql = "INSERT OR IGNORE INTO in_memory (name) VALUES (upper(?1))";
        self.connection
            .execute(sql, [table])
            .map(drop)
            .map_err(oracle)
    }

    /// Refuses a table that does not exist.
    pub(super) fn columns_of(&self, table: &str) -> Result<(), OraError> {
        let sql = format!("SELECT 1 FROM \"{table}\"");
        self.connection.prepare(&sql).map(drop).map_err(oracle)
    }
}

/// `d.event_id` is the column `event_id`.
fn bare(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn micros() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}

/// Binds what the statement names; a part of it may name less than the whole.
fn bind(
    prepared: &mut rusqlite::CachedStatement<'_>,
    binds: &Binds,
    rowid: Option<i64>,
) -> Result<(), OraError> {
    for index in 1..=prepared.parameter_count() {
        let name = prepared.parameter_name(index).unwrap_or(":").to_owned();
        let name = &name[1..];
        let stored = match (name, rowid) {
            ("stand_in_row", Some(rowid)) => Stored::Integer(rowid),
            _ => match binds.get(name)? {
                Value::Text(text) if text.is_empty() => Stored::Null,
                Value::Null => Stored::Null,
                Value::Text(text) => Stored::Text(text.clone()),
                Value::Integer(number) | Value::Timestamp(number) => Stored::Integer(*number),
                Value::Float(number) => Stored::Real(*number),
                Value::Bytes(bytes) => Stored::Blob(bytes.clone()),
            },
        };
        prepared.raw_bind_parameter(index, stored)?;
    }
    Ok(())
}

fn value(stored: ValueRef<'_>, kind: Kind) -> Value {
    match (stored, kind) {
        (ValueRef::Null, _) => Value::Null,
        (ValueRef::Integer(number), Kind::Timestamp) => Value::Timestamp(number),
        (ValueRef::Integer(number), _) => Value::Integer(number),
        (ValueRef::Real(number), _) => Value::Float(number),
        (ValueRef::Text(bytes) | ValueRef::Blob(bytes), Kind::Raw(_) | Kind::Blob) => {
            Value::Bytes(bytes.to_vec())
        }
        (ValueRef::Text(bytes) | ValueRef::Blob(bytes), _) => {
            Value::Text(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

/// What Oracle would say.
fn oracle(error: rusqlite::Error) -> OraError {
    let text = error.to_string();
    if text.contains("no such table") {
        return OraError::new(942, "table or view does not exist");
    }
    if text.contains("no such column") {
        return OraError::new(904, format_args!("invalid identifier: {text}"));
    }
    if text.contains("ORA-01438") {
        return OraError::new(1438, "value larger than specified precision");
    }
    if text.contains("ORA-02290") || text.contains("CHECK constraint") {
        return OraError::new(2290, "check constraint violated");
    }
    if text.contains("UNIQUE constraint") {
        return OraError::new(1, "unique constraint violated");
    }
    if text.contains("NOT NULL constraint") {
        return OraError::new(1400, "cannot insert NULL");
    }
    error.into()
}
