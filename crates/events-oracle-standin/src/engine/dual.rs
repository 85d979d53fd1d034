//! What any session may ask without a table: `SELECT 1 FROM dual`, and the session's own settings.

use crate::OraError;
use crate::call::Call;
use crate::engine::{Engine, Outcome};
use crate::value::{Binds, Column, Kind, Value};

/// The engine of statements without a table.
#[derive(Debug)]
pub(crate) struct Dual;

fn words(sql: &str) -> String {
    sql.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_ascii_uppercase()
}

impl Engine for Dual {
    fn understands(&self, sql: &str) -> bool {
        words(sql) == "SELECT 1 FROM DUAL" || words(sql).starts_with("ALTER SESSION SET ")
    }

    fn execute(&mut self, _: &Call, sql: &str, binds: &mut Binds) -> Result<Outcome, OraError> {
        binds.expect(&[])?;
        if words(sql).starts_with("ALTER SESSION") {
            return Ok(Outcome::Done(0));
        }
        Ok(Outcome::rows(
            vec![Column::new("1", Kind::Number)],
            vec![vec![Value::Integer(1)]],
        ))
    }

    fn commit(&mut self) -> Result<(), OraError> {
        Ok(())
    }

    fn rollback(&mut self) -> Result<(), OraError> {
        Ok(())
    }
}
