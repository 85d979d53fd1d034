//! Variables of a statement, and places for its columns.

use std::ffi::c_int;

use super::buffer::{Buffer, DefineCallback, Dynamic, InCallback};
use super::handle::{self, Body};
use super::statement::Statement;
use super::{Failure, Pointer, SUCCESS, answer, text};
use crate::OraError;
use crate::sql;

/// Puts a buffer into a list of the statement's, and gives its handle.
fn place(
    statement: Pointer,
    kind: u32,
    list: fn(&mut Statement) -> &mut Vec<Option<Buffer>>,
    index: impl FnOnce(&Statement) -> Result<usize, Failure>,
    buffer: Buffer,
) -> Result<Pointer, Failure> {
    handle::statement(statement, |inner| {
        let index = index(inner)?;
        let list = list(inner);
        if list.len() <= index {
            list.resize_with(index + 1, || None);
        }
        // A variable that is bound again keeps its handle.
        let made = match list[index] {
            Some(former) => handle::pointer(former.handle),
            None => handle::allocate(kind, statement, Body::Place(statement.addr(), index)),
        };
        list[index] = Some(Buffer {
            handle: made.addr(),
            ..buffer
        });
        Ok(made)
    })?
}

/// Refuses what only arrays inside PL/SQL use.
fn no_arrays(count: u32) -> Result<(), Failure> {
    match count {
        0 => Ok(()),
        _ => Err(OraError::new(24315, "the stand-in binds no PL/SQL arrays").into()),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIBindByName2(
    statement: Pointer,
    bind: *mut Pointer,
    error: Pointer,
    name: *const u8,
    name_length: i32,
    value: *mut u8,
    size: i64,
    code: u16,
    indicators: *mut i16,
    lengths: *mut u32,
    return_codes: *mut u16,
    array: u32,
    _count: *mut u32,
    _mode: u32,
) -> c_int {
    answer(error, || {
        no_arrays(array)?;
        // SAFETY: the caller passes a name and its length.
        let name = unsafe { text(name, usize::try_from(name_length).unwrap_or(0)) };
        let name = name.trim_start_matches(':').to_ascii_uppercase();
        let size = usize::try_from(size).unwrap_or(0);
        let buffer = Buffer::new(value, size, code, (indicators, lengths, return_codes));
        let index = |statement: &Statement| {
            let found = statement
                .variables
                .iter()
                .position(|variable| *variable == name);
            found.ok_or_else(|| OraError::new(1036, "illegal variable name/number").into())
        };
        // SAFETY: the caller passes a place for the handle.
        unsafe { *bind = place(statement, handle::BIND, |it| &mut it.binds, index, buffer)? };
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIBindByPos2(
    statement: Pointer,
    bind: *mut Pointer,
    error: Pointer,
    position: u32,
    value: *mut u8,
    size: i64,
    code: u16,
    indicators: *mut i16,
    lengths: *mut u32,
    return_codes: *mut u16,
    array: u32,
    _count: *mut u32,
    _mode: u32,
) -> c_int {
    answer(error, || {
        no_arrays(array)?;
        let index = (position as usize).wrapping_sub(1);
        let size = usize::try_from(size).unwrap_or(0);
        let buffer = Buffer::new(value, size, code, (indicators, lengths, return_codes));
        let index = |statement: &Statement| {
            if index >= statement.variables.len() {
                return Err(OraError::new(1036, "illegal variable name/number").into());
            }
            Ok(index)
        };
        // SAFETY: the caller passes a place for the handle.
        unsafe { *bind = place(statement, handle::BIND, |it| &mut it.binds, index, buffer)? };
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIDefineByPos2(
    statement: Pointer,
    define: *mut Pointer,
    error: Pointer,
    position: u32,
    value: *mut u8,
    size: u64,
    code: u16,
    indicators: *mut i16,
    lengths: *mut u32,
    return_codes: *mut u16,
    _mode: u32,
) -> c_int {
    answer(error, || {
        let index = (position as usize).wrapping_sub(1);
        let size = usize::try_from(size).unwrap_or(0);
        let buffer = Buffer::new(value, size, code, (indicators, lengths, return_codes));
        let index = |statement: &Statement| {
            if index >= statement.columns.len() {
                return Err(OraError::new(1007, "variable not in select list").into());
            }
            Ok(index)
        };
        // SAFETY: the caller passes a place for the handle.
        unsafe {
            *define = place(
                statement,
                handle::DEFINE,
                |it| &mut it.defines,
                index,
                buffer,
            )?
        };
        Ok(SUCCESS)
    })
}

/// Sets how the values of a bind or define come and go.
fn dynamic(
    handle: Pointer,
    list: impl FnOnce(&mut Statement) -> &mut Vec<Option<Buffer>>,
    dynamic: Dynamic,
) -> Result<(), Failure> {
    let (statement, index) = handle::body(handle, |body| match body {
        Body::Place(statement, index) => Ok((*statement, *index)),
        _ => Err(Failure::Handle),
    })??;
    handle::statement(handle::pointer(statement), |statement| {
        match list(statement).get_mut(index) {
            Some(Some(buffer)) => {
                buffer.dynamic = dynamic;
                Ok(())
            }
            _ => Err(Failure::Handle),
        }
    })?
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIBindDynamic(
    bind: Pointer,
    error: Pointer,
    context: Pointer,
    callback: Pointer,
    _out_context: Pointer,
    _out_callback: Pointer,
) -> c_int {
    answer(error, || {
        // SAFETY: the interface says that this is a function of this type.
        let callback = unsafe { std::mem::transmute::<Pointer, InCallback>(callback) };
        dynamic(
            bind,
            |statement| &mut statement.binds,
            Dynamic::In(context, callback),
        )?;
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIDefineDynamic(
    define: Pointer,
    error: Pointer,
    context: Pointer,
    callback: Pointer,
) -> c_int {
    answer(error, || {
        // SAFETY: the interface says that this is a function of this type.
        let callback = unsafe { std::mem::transmute::<Pointer, DefineCallback>(callback) };
        dynamic(
            define,
            |statement| &mut statement.defines,
            Dynamic::Define(context, callback),
        )?;
        Ok(SUCCESS)
    })
}

/// The variables of a statement as its binds count them: once each in PL/SQL.
pub(crate) fn counted(kind: u16, named: Vec<String>) -> Vec<String> {
    if !sql::is_block(kind) {
        return named;
    }
    let mut once: Vec<String> = Vec::new();
    for name in named {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}
