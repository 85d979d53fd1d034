//! What any session may ask without a table: one row of its own values, assignments, and sleep.

use std::time::{Duration, Instant};

use crate::OraError;
use crate::call::Call;
use crate::engine::{Engine, Outcome};
use crate::value::{Binds, Column, Kind, Value};

/// The engine of statements without a table.
#[derive(Debug)]
pub(crate) struct Dual;

enum Statement {
    /// `ALTER SESSION SET …`
    Setting,
    /// `SELECT 1 FROM dual`, `SELECT :a, :b FROM dual`
    Row(Vec<String>),
    /// `BEGIN :a := :b; :c := :d; END;`
    Assign(Vec<(String, String)>),
    /// `BEGIN DBMS_SESSION.SLEEP(:seconds); END;`
    Sleep(String),
}

fn parse(sql: &str) -> Option<Statement> {
    let words = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let upper = words.to_ascii_uppercase();
    let variable = |text: &str| Some(text.trim().strip_prefix(':')?.to_owned());
    if upper.starts_with("ALTER SESSION SET ") {
        return Some(Statement::Setting);
    }
    if let Some(list) = upper
        .strip_prefix("SELECT ")
        .and_then(|rest| rest.strip_suffix(" FROM DUAL"))
    {
        if list == "1" {
            return Some(Statement::Row(Vec::new()));
        }
        return list
            .split(',')
            .map(variable)
            .collect::<Option<_>>()
            .map(Statement::Row);
    }
    let block = upper.strip_prefix("BEGIN ")?.strip_suffix("; END;")?;
    if let Some(seconds) = block.strip_prefix("DBMS_SESSION.SLEEP(") {
        return variable(seconds.strip_suffix(')')?).map(Statement::Sleep);
    }
    block
        .split(';')
        .map(|assignment| {
            let (to, from) = assignment.split_once(":=")?;
            Some((variable(to)?, variable(from)?))
        })
        .collect::<Option<_>>()
        .map(Statement::Assign)
}

impl Engine for Dual {
    fn understands(&self, sql: &str) -> bool {
        parse(sql).is_some()
    }

    fn execute(&mut self, call: &Call, sql: &str, binds: &mut Binds) -> Result<Outcome, OraError> {
        match parse(sql).ok_or_else(|| OraError::unknown(sql))? {
            Statement::Setting => Ok(Outcome::Done(0)),
            Statement::Row(names) if names.is_empty() => Ok(Outcome::rows(
                vec![Column::new("1", Kind::Number)],
                vec![vec![Value::Integer(1)]],
            )),
            Statement::Row(names) => row(&names, binds),
            Statement::Assign(pairs) => {
                for (to, from) in pairs {
                    let value = binds.get(&from)?.clone();
                    binds.set(&to, value)?;
                }
                Ok(Outcome::Done(0))
            }
            Statement::Sleep(seconds) => {
                let seconds = binds.get(&seconds)?.integer()?.unwrap_or(0);
                let seconds = u64::try_from(seconds).unwrap_or(0);
                let end = Instant::now() + Duration::from_secs(seconds);
                while Instant::now() < end {
                    call.wait(end.saturating_duration_since(Instant::now()))?;
                }
                Ok(Outcome::Done(0))
            }
        }
    }

    fn commit(&mut self) -> Result<(), OraError> {
        Ok(())
    }

    fn rollback(&mut self) -> Result<(), OraError> {
        Ok(())
    }
}

fn row(names: &[String], binds: &Binds) -> Result<Outcome, OraError> {
    let mut columns = Vec::new();
    let mut values = Vec::new();
    for name in names {
        let bind = binds
            .0
            .iter()
            .find(|bind| bind.name.eq_ignore_ascii_case(name));
        columns.push(Column::new(
            format!(":{name}"),
            bind.map_or(Kind::Varchar(1), |bind| bind.kind),
        ));
        values.push(binds.get(name)?.clone());
    }
    Ok(Outcome::rows(columns, vec![values]))
}
