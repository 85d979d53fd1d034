//! Statements: prepared, executed once or for an array of binds, fetched.

use std::ffi::c_int;
use std::sync::Arc;

use super::buffer::Buffer;
use super::{Failure, NO_DATA, Pointer, SUCCESS, answer, bind, handle, text};
use crate::OraError;
use crate::engine::{Outcome, Rows};
use crate::session::Session;
use crate::sql;
use crate::value::{Bind, Binds, Column, Value};

/// What a statement handle is.
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) kind: u16,
    pub(crate) variables: Vec<String>,
    pub(crate) binds: Vec<Option<Buffer>>,
    pub(crate) defines: Vec<Option<Buffer>>,
    pub(crate) columns: Arc<Vec<Column>>,
    /// Columns of former executions: ODPI-C keeps pointing to their names.
    former: Vec<Arc<Vec<Column>>>,
    rows: Option<Rows>,
    ahead: Vec<Vec<Value>>,
    pub(crate) prefetch: usize,
    pub(crate) row_count: u64,
    pub(crate) rows_fetched: u32,
    /// How many rows each execution of an array touched.
    pub(crate) row_counts: Vec<u64>,
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIStmtPrepare2(
    service: Pointer,
    place: *mut Pointer,
    error: Pointer,
    sql: *const u8,
    length: u32,
    _key: *const u8,
    _key_length: u32,
    _language: u32,
    _mode: u32,
) -> c_int {
    answer(error, || {
        handle::session(service)?;
        // SAFETY: the caller passes a text and its length.
        let sql = unsafe { text(sql, length as usize) };
        let kind = sql::kind(&sql);
        let statement = Statement {
            variables: bind::counted(kind, sql::variables(&sql)),
            kind,
            sql,
            binds: Vec::new(),
            defines: Vec::new(),
            columns: Arc::default(),
            former: Vec::new(),
            rows: None,
            ahead: Vec::new(),
            prefetch: 1,
            row_count: 0,
            rows_fetched: 0,
            row_counts: Vec::new(),
        };
        let made = handle::Body::Statement(Box::new(statement));
        // SAFETY: the caller passes a place for the handle.
        unsafe { *place = handle::allocate(handle::STATEMENT, service, made) };
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
extern "C" fn OCIStmtRelease(
    statement: Pointer,
    error: Pointer,
    _key: *const u8,
    _key_length: u32,
    _mode: u32,
) -> c_int {
    answer(error, || {
        handle::free(statement, handle::STATEMENT)?;
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIStmtExecute(
    service: Pointer,
    statement: Pointer,
    error: Pointer,
    iterations: u32,
    offset: u32,
    _snapshot_in: Pointer,
    _snapshot_out: Pointer,
    mode: u32,
) -> c_int {
    const COMMIT_ON_SUCCESS: u32 = 0x20;
    const ROW_COUNTS: u32 = 0x10_0000;
    answer(error, || {
        if mode & !(COMMIT_ON_SUCCESS | ROW_COUNTS) != 0 || offset != 0 {
            return Err(OraError::new(
                24315,
                format_args!("the stand-in does not execute in mode {mode:#x}"),
            )
            .into());
        }
        let session = handle::session(service)?;
        handle::statement(statement, |statement| {
            // SAFETY: the buffers are those that the caller bound.
            unsafe { execute(statement, &session, iterations) }
        })??;
        if mode & COMMIT_ON_SUCCESS != 0 {
            session.commit()?;
        }
        Ok(SUCCESS)
    })
}

/// # Safety
///
/// The statement's buffers are the caller's, with a place for each iteration.
unsafe fn execute(
    statement: &mut Statement,
    session: &Arc<Session>,
    iterations: u32,
) -> Result<(), Failure> {
    statement.rows = None;
    statement.ahead.clear();
    statement.row_count = 0;
    statement.row_counts.clear();
    if sql::commits(statement.kind) {
        session.commit()?;
    }
    for row in 0..iterations.max(1) as usize {
        // SAFETY: passed on from the caller.
        let mut binds = unsafe { read(statement, row) }?;
        match session.execute(&statement.sql, &mut binds)? {
            Outcome::Done(touched) => {
                statement.row_count += touched;
                statement.row_counts.push(touched);
            }
            Outcome::Query(columns, rows) => {
                begin_query(statement, columns, rows)?;
                return Ok(());
            }
        }
        for (buffer, bind) in statement.binds.iter().zip(&binds.0) {
            if let (Some(buffer), true) = (buffer, bind.set) {
                // SAFETY: as above.
                unsafe { buffer.write(row, &bind.value)? };
            }
        }
    }
    Ok(())
}

/// # Safety
///
/// As for `execute`.
unsafe fn read(statement: &Statement, row: usize) -> Result<Binds, Failure> {
    let mut binds = Vec::with_capacity(statement.variables.len());
    for (index, name) in statement.variables.iter().enumerate() {
        // In SQL a variable that is named twice may be bound by name once.
        let first = statement.variables.iter().position(|other| other == name);
        let own = statement.binds.get(index).copied().flatten();
        let buffer = own.or_else(|| statement.binds.get(first?).copied().flatten());
        let buffer = buffer
            .ok_or_else(|| OraError::new(1008, format_args!("not all variables bound: {name}")))?;
        binds.push(Bind {
            name: name.clone(),
            kind: buffer.kind()?,
            // SAFETY: passed on from the caller.
            value: unsafe { buffer.read(row)? },
            set: false,
        });
    }
    Ok(Binds(binds))
}

fn begin_query(
    statement: &mut Statement,
    columns: Vec<Column>,
    mut rows: Rows,
) -> Result<(), Failure> {
    if *statement.columns != columns {
        let former = std::mem::replace(&mut statement.columns, Arc::new(columns));
        statement.former.push(former);
    }
    // As many as the caller asked to be brought along; a row that is brought is locked.
    for _ in 0..statement.prefetch {
        match rows.next() {
            None => break,
            Some(row) => statement.ahead.push(row?),
        }
    }
    statement.ahead.reverse();
    statement.rows = Some(rows);
    Ok(())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIStmtFetch2(
    statement: Pointer,
    error: Pointer,
    rows: u32,
    orientation: u16,
    _offset: i32,
    _mode: u32,
) -> c_int {
    const NEXT: u16 = 2;
    answer(error, || {
        if orientation != NEXT {
            return Err(OraError::new(24391, "the stand-in fetches forward only").into());
        }
        handle::statement(statement, |statement| {
            statement.rows_fetched = 0;
            for row in 0..rows as usize {
                let next = match statement.ahead.pop() {
                    Some(row) => Some(row),
                    None => match &mut statement.rows {
                        None => return Err(OraError::new(1002, "fetch out of sequence").into()),
                        Some(rows) => rows.next().transpose()?,
                    },
                };
                let Some(values) = next else {
                    return Ok(NO_DATA);
                };
                for (define, value) in statement.defines.iter().zip(&values) {
                    if let Some(define) = define {
                        // SAFETY: the buffers are those that the caller defined, of as many rows
                        // as it fetches.
                        unsafe { define.write(row, value)? };
                    }
                }
                statement.rows_fetched += 1;
                statement.row_count += 1;
            }
            Ok(SUCCESS)
        })?
    })
}
