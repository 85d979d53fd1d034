//! Attributes of handles: a table of what ODPI-C reads and writes, each with its exact width.
//!
//! Numbers of attributes are used again for other kinds of handles, and a width that is guessed wrong
//! overwrites the caller's memory; so a pair that is not in the table is an error.

use std::ffi::c_int;
use std::time::Duration;

use super::handle::{self, pointer};
use super::{Failure, Pointer, SUCCESS, answer, text};
use crate::OraError;
use crate::value::{Column, Kind};

/// The kind that parameters of a statement are asked under.
const DESCRIBED: u32 = 7;

/// A value as it is written for the caller.
enum Out {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    U64(u64),
    Handle(usize),
    /// A text or an array that its owner keeps alive.
    Text(*const u8, usize),
}

fn unknown(what: &str, kind: u32, attribute: u32) -> Failure {
    OraError::new(
        24315,
        format_args!("the stand-in cannot {what} attribute {attribute} of a handle of kind {kind}"),
    )
    .into()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIAttrGet(
    target: Pointer,
    kind: u32,
    place: Pointer,
    size: *mut u32,
    attribute: u32,
    error: Pointer,
) -> c_int {
    answer(error, || {
        // SAFETY: the caller passes a place as wide as the attribute is, which `get` knows.
        unsafe {
            match get(target, kind, attribute)? {
                Out::U8(value) => place.cast::<u8>().write_unaligned(value),
                Out::I8(value) => place.cast::<i8>().write_unaligned(value),
                Out::U16(value) => place.cast::<u16>().write_unaligned(value),
                Out::I16(value) => place.cast::<i16>().write_unaligned(value),
                Out::U32(value) => place.cast::<u32>().write_unaligned(value),
                Out::U64(value) => place.cast::<u64>().write_unaligned(value),
                Out::Handle(value) => place.cast::<Pointer>().write_unaligned(pointer(value)),
                Out::Text(text, length) => {
                    place.cast::<*const u8>().write_unaligned(text);
                    *size = u32::try_from(length).unwrap_or(0);
                }
            }
        }
        Ok(SUCCESS)
    })
}

fn get(target: Pointer, kind: u32, attribute: u32) -> Result<Out, Failure> {
    const AL32UTF8: u16 = 873;
    let none = || Err(unknown("read", kind, attribute));
    match (kind, attribute) {
        (handle::ENVIRONMENT, 31 | 262) | (handle::SERVER, 31) => Ok(Out::U16(AL32UTF8)),
        // Whether an error may be tried again by replaying: never here.
        (handle::ERROR, 472) => Ok(Out::U32(0)),
        (handle::SERVICE, _) => handle::service(target, |service| match attribute {
            6 => Ok(Out::Handle(service.server)),
            7 => Ok(Out::Handle(service.login)),
            176 => Ok(Out::U32(service.cache)),
            500 => Ok(Out::U8(128)),
            531 => {
                let timeout = service
                    .session
                    .as_ref()
                    .and_then(|session| session.call.timeout());
                let millis = timeout.unwrap_or_default().as_millis();
                Ok(Out::U32(u32::try_from(millis).unwrap_or(u32::MAX)))
            }
            _ => none(),
        })?,
        (handle::SERVER, _) => handle::server(target, |server| match attribute {
            143 => Ok(Out::U32(u32::from(
                server
                    .session
                    .as_ref()
                    .is_none_or(|session| !session.is_dead()),
            ))),
            436 => Ok(Out::U32(0)),
            495 => Ok(Out::U8(0)),
            _ => none(),
        })?,
        // Whether a transaction is under way is not followed; to roll none back harms nothing.
        (handle::LOGIN, 484) => Ok(Out::U32(1)),
        (handle::LOGIN, 471) => Ok(Out::U32(300)),
        (handle::STATEMENT, _) => handle::statement(target, |statement| match attribute {
            9 => Ok(Out::U32(
                u32::try_from(statement.row_count).unwrap_or(u32::MAX),
            )),
            // What a DDL does; only types and what is compiled are asked about: ALTER TABLE.
            10 => Ok(Out::U16(15)),
            18 => Ok(Out::U32(
                u32::try_from(statement.columns.len()).unwrap_or(0),
            )),
            24 => Ok(Out::U16(statement.kind)),
            73 => Ok(Out::U32(0)),
            129 => Ok(Out::U16(0)),
            144 => Ok(Out::Text(statement.sql.as_ptr(), statement.sql.len())),
            190 => Ok(Out::U32(
                u32::try_from(statement.variables.len()).unwrap_or(0),
            )),
            197 => Ok(Out::U32(statement.rows_fetched)),
            // RETURNING INTO is not done here.
            218 => Ok(Out::U8(0)),
            457 => Ok(Out::U64(statement.row_count)),
            469 => Ok(Out::Text(
                statement.row_counts.as_ptr().cast(),
                statement.row_counts.len(),
            )),
            _ => none(),
        })?,
        (DESCRIBED | handle::PARAMETER, _) => handle::body(target, |body| match body {
            handle::Body::Parameter(columns, index) => {
                column(&columns[*index], attribute).ok_or(())
            }
            _ => Err(()),
        })?
        .or_else(|()| none()),
        (handle::POOL, _) => handle::pool(target, |pool| match attribute {
            310 => Ok(Out::U32(pool.counts().1)),
            311 => Ok(Out::U32(pool.counts().0)),
            _ => none(),
        })?,
        _ => none(),
    }
}

fn column(column: &Column, attribute: u32) -> Option<Out> {
    let (code, size) = match column.kind {
        Kind::Varchar(size) => (1, size),
        Kind::Number => (2, 22),
        Kind::Double => (101, 8),
        Kind::Raw(size) => (23, size),
        Kind::Clob => (112, 4000),
        Kind::Blob => (113, 4000),
        Kind::Timestamp => (187, 11),
    };
    let size = u16::try_from(size).unwrap_or(u16::MAX);
    Some(match attribute {
        1 | 286 => Out::U16(size),
        2 => Out::U16(code),
        4 => Out::Text(column.name.as_ptr(), column.name.len()),
        5 => Out::I16(0),
        6 if column.kind == Kind::Timestamp => Out::I8(6),
        6 => Out::I8(-127),
        7 => Out::U8(1),
        32 => Out::U8(1),
        534 => Out::U8(0),
        _ => return None,
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIAttrSet(
    target: Pointer,
    kind: u32,
    value: Pointer,
    size: u32,
    attribute: u32,
    error: Pointer,
) -> c_int {
    answer(error, || {
        if handle::kind(target)? != kind {
            return Err(Failure::Handle);
        }
        // SAFETY: the caller passes a value as wide as the attribute is, or a text with its size.
        let number = || u64::from(unsafe { value.cast::<u32>().read_unaligned() });
        // SAFETY: as above.
        let text = || unsafe { text(value.cast(), size as usize) };
        let none = || Err(unknown("write", kind, attribute));
        match (kind, attribute) {
            (handle::SERVICE, _) => handle::service(target, |service| match attribute {
                6 => {
                    service.server = value.addr();
                    Ok(())
                }
                7 => {
                    service.login = value.addr();
                    Ok(())
                }
                // Only ever cleared: distributed transactions are not done here.
                8 if value.is_null() => Ok(()),
                176 => {
                    service.cache = u32::try_from(number()).unwrap_or(0);
                    Ok(())
                }
                531 => {
                    let timeout = Duration::from_millis(number());
                    if let Some(session) = &service.session {
                        session
                            .call
                            .set_timeout((!timeout.is_zero()).then_some(timeout));
                    }
                    Ok(())
                }
                _ => none(),
            })??,
            // How long a read from the network may take: there is no network.
            (handle::SERVER, 436 | 495) => {}
            (handle::LOGIN, 22) => handle::login(target, |login| login.user = text())?,
            (handle::LOGIN, 23) => handle::login(target, |login| login.password = text())?,
            // The class, purity and edition of a session, and who uses it for what.
            (handle::LOGIN, 278 | 288 | 366..=368 | 424..=426) => {}
            (handle::STATEMENT, 11) => handle::statement(target, |statement| {
                statement.prefetch = usize::try_from(number()).unwrap_or(0);
            })?,
            // The character set of a variable is UTF-8 whatever its form; its size came with it.
            (handle::BIND, 32 | 33) | (handle::DEFINE, 32 | 440) => {}
            (handle::POOL, 309) => {
                // SAFETY: the mode is one byte wide.
                let mode = unsafe { value.cast::<u8>().read() };
                handle::pool(target, |pool| pool.mode = mode)?;
            }
            (handle::POOL, 506) => {
                handle::pool(target, |pool| pool.wait = Duration::from_millis(number()))?;
            }
            // The login of a pool, the age of its sessions, and their statement caches.
            (handle::POOL, 208 | 308 | 460 | 490 | 602 | 655) => {}
            _ => none()?,
        }
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIParamGet(
    target: Pointer,
    kind: u32,
    error: Pointer,
    place: *mut Pointer,
    position: u32,
) -> c_int {
    answer(error, || {
        if kind != handle::STATEMENT {
            return Err(unknown("describe", kind, position));
        }
        let columns = handle::statement(target, |statement| statement.columns.clone())?;
        let index = (position as usize).wrapping_sub(1);
        if index >= columns.len() {
            return Err(OraError::new(24334, "no descriptor for this position").into());
        }
        let made = handle::Body::Parameter(columns, index);
        // SAFETY: the caller passes a place for the handle.
        unsafe { *place = handle::allocate(handle::PARAMETER, target, made) };
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIStmtGetBindInfo(
    statement: Pointer,
    error: Pointer,
    size: u32,
    start: u32,
    found: *mut i32,
    names: *mut *const u8,
    lengths: *mut u8,
    _indicators: *mut *const u8,
    _indicator_lengths: *mut u8,
    duplicates: *mut u8,
    _binds: *mut Pointer,
) -> c_int {
    answer(error, || {
        handle::statement(statement, |statement| {
            let first = (start as usize).wrapping_sub(1);
            let variables = &statement.variables;
            let Some(wanted) = variables.get(first..).filter(|rest| !rest.is_empty()) else {
                return super::NO_DATA;
            };
            let taken = wanted.len().min(size as usize);
            for (index, name) in wanted[..taken].iter().enumerate() {
                let repeated = variables[..first + index].contains(name);
                // SAFETY: the caller passes arrays of `size` places; names live with the statement.
                unsafe {
                    *names.add(index) = name.as_ptr();
                    *lengths.add(index) = u8::try_from(name.len()).unwrap_or(0);
                    *duplicates.add(index) = u8::from(repeated);
                }
            }
            // Negative when there are more than were asked for.
            let total = i32::try_from(variables.len()).unwrap_or(0);
            // SAFETY: the caller passes a place for the count.
            unsafe {
                *found = if first + taken < variables.len() {
                    -total
                } else {
                    total
                }
            };
            SUCCESS
        })
    })
}
