//! Memory of the caller that holds the values of one variable, and values read from it and put in it.

use std::ffi::c_int;

use super::datetime;
use super::handle::{self, Lob};
use super::{CONTINUE, Failure, Pointer};
use crate::OraError;
use crate::number;
use crate::value::{Kind, Value};

/// How the type of a variable is numbered.
mod code {
    pub(super) const TEXT: u16 = 1;
    pub(super) const INTEGER: u16 = 3;
    pub(super) const NUMBER: u16 = 6;
    pub(super) const RAW: u16 = 23;
    pub(super) const FIXED_TEXT: u16 = 96;
    pub(super) const DOUBLE: u16 = 22;
    pub(super) const NATIVE_DOUBLE: u16 = 101;
    pub(super) const CLOB: u16 = 112;
    pub(super) const BLOB: u16 = 113;
    pub(super) const TIMESTAMP: u16 = 187;
    pub(super) const TIMESTAMP_TZ: u16 = 188;
    pub(super) const TIMESTAMP_LTZ: u16 = 232;
}

pub(crate) type InCallback = unsafe extern "C" fn(
    Pointer,
    Pointer,
    u32,
    u32,
    *mut Pointer,
    *mut u32,
    *mut u8,
    *mut Pointer,
) -> c_int;

pub(crate) type DefineCallback = unsafe extern "C" fn(
    Pointer,
    Pointer,
    u32,
    *mut Pointer,
    *mut *mut u32,
    *mut u8,
    *mut Pointer,
    *mut *mut u16,
) -> c_int;

/// Where values come from or go to when there is no buffer.
#[derive(Clone, Copy)]
pub(crate) enum Dynamic {
    None,
    In(Pointer, InCallback),
    Define(Pointer, DefineCallback),
}

/// The memory of a bind or a define: an array with one place for each row.
#[derive(Clone, Copy)]
pub(crate) struct Buffer {
    pub(crate) handle: usize,
    pub(crate) data: *mut u8,
    pub(crate) size: usize,
    pub(crate) code: u16,
    pub(crate) indicators: *mut i16,
    pub(crate) lengths: *mut u32,
    pub(crate) return_codes: *mut u16,
    pub(crate) dynamic: Dynamic,
}

// SAFETY: the pointers are the caller's, who keeps them while the statement lives and uses one handle
// from one thread at a time.
unsafe impl Send for Buffer {}

impl Buffer {
    /// The memory as it is bound or defined, with what is told for each row: whether it is NULL, its
    /// length, and how it went.
    pub(crate) fn new(
        data: *mut u8,
        size: usize,
        code: u16,
        (indicators, lengths, return_codes): (*mut i16, *mut u32, *mut u16),
    ) -> Self {
        Self {
            handle: 0,
            data,
            size,
            code,
            indicators,
            lengths,
            return_codes,
            dynamic: Dynamic::None,
        }
    }

    /// What the variable was bound as.
    pub(crate) fn kind(&self) -> Result<Kind, Failure> {
        let size = u32::try_from(self.size).unwrap_or(u32::MAX);
        Ok(match self.code {
            code::TEXT | code::FIXED_TEXT => Kind::Varchar(size),
            code::INTEGER | code::NUMBER => Kind::Number,
            code::DOUBLE | code::NATIVE_DOUBLE => Kind::Double,
            code::RAW => Kind::Raw(size),
            code::CLOB => Kind::Clob,
            code::BLOB => Kind::Blob,
            code::TIMESTAMP | code::TIMESTAMP_TZ | code::TIMESTAMP_LTZ => Kind::Timestamp,
            other => {
                return Err(OraError::new(
                    932,
                    format_args!("the stand-in cannot bind type {other}"),
                )
                .into());
            }
        })
    }

    /// The value that the caller put in for a row.
    ///
    /// # Safety
    ///
    /// The buffer is what the caller bound, and has a place for the row.
    pub(crate) unsafe fn read(&self, row: usize) -> Result<Value, Failure> {
        if let Dynamic::In(context, callback) = self.dynamic {
            // SAFETY: the callback came with its context.
            return unsafe { self.read_dynamic(context, callback, row) };
        }
        // SAFETY: indicators, lengths and values are arrays of the caller's with a place for each row.
        unsafe {
            if !self.indicators.is_null() && *self.indicators.add(row) < 0 {
                return Ok(Value::Null);
            }
            let place = self.data.add(row * self.size);
            let length = if self.lengths.is_null() {
                self.size
            } else {
                *self.lengths.add(row) as usize
            };
            self.decode(place, length)
        }
    }

    unsafe fn read_dynamic(
        &self,
        context: Pointer,
        callback: InCallback,
        row: usize,
    ) -> Result<Value, Failure> {
        let mut place: Pointer = std::ptr::null_mut();
        let mut indicator: Pointer = std::ptr::null_mut();
        let (mut length, mut piece) = (0_u32, 0_u8);
        // SAFETY: the callback gets its own context and places for what it answers.
        let code = unsafe {
            callback(
                context,
                handle::pointer(self.handle),
                u32::try_from(row).unwrap_or(0),
                0,
                &raw mut place,
                &raw mut length,
                &raw mut piece,
                &raw mut indicator,
            )
        };
        if code != CONTINUE {
            return Err(OraError::new(24343, "user defined callback error").into());
        }
        // SAFETY: the indicator and the value are the caller's, of the length it answered.
        unsafe {
            if place.is_null() || (!indicator.is_null() && *indicator.cast::<i16>() < 0) {
                return Ok(Value::Null);
            }
            self.decode(place.cast(), length as usize)
        }
    }

    /// # Safety
    ///
    /// `place` holds a value of this variable's type, of `length` bytes when that varies.
    unsafe fn decode(&self, place: *mut u8, length: usize) -> Result<Value, Failure> {
        // SAFETY: the caller of this function vouches for the place.
        unsafe {
            let bytes = || std::slice::from_raw_parts(place, length);
            Ok(match self.kind()? {
                // The empty string is NULL.
                Kind::Varchar(_) | Kind::Raw(_) if length == 0 => Value::Null,
                Kind::Varchar(_) => Value::Text(utf8(bytes().to_vec())?),
                Kind::Raw(_) => Value::Bytes(bytes().to_vec()),
                Kind::Number if self.code == code::INTEGER => {
                    Value::Integer(place.cast::<i64>().read_unaligned())
                }
                Kind::Number => number::to_value(std::slice::from_raw_parts(place, number::SIZE)),
                Kind::Double => Value::Float(place.cast::<f64>().read_unaligned()),
                Kind::Clob | Kind::Blob => {
                    let locator = place.cast::<Pointer>().read_unaligned();
                    let lob = handle::lob(locator, |lob| lob.clone())?;
                    if lob.is_text {
                        Value::Text(utf8(lob.bytes)?)
                    } else {
                        Value::Bytes(lob.bytes)
                    }
                }
                Kind::Timestamp => {
                    let moment = place.cast::<Pointer>().read_unaligned();
                    Value::Timestamp(handle::timestamp(moment, |moment| {
                        datetime::micros(moment)
                    })?)
                }
            })
        }
    }

    /// Gives the caller a value for a row.
    ///
    /// # Safety
    ///
    /// The buffer is what the caller bound or defined, and has a place for the row.
    pub(crate) unsafe fn write(&self, row: usize, value: &Value) -> Result<(), Failure> {
        if let Dynamic::Define(context, callback) = self.dynamic {
            // SAFETY: the callback came with its context.
            return unsafe { self.write_dynamic(context, callback, row, value) };
        }
        // SAFETY: indicators, lengths, codes and values are arrays of the caller's with a place for
        // each row.
        unsafe {
            if !self.return_codes.is_null() {
                *self.return_codes.add(row) = 0;
            }
            if !self.indicators.is_null() {
                *self.indicators.add(row) = if *value == Value::Null { -1 } else { 0 };
            }
            let place = self.data.add(row * self.size);
            let locator = || place.cast::<Pointer>().read_unaligned();
            match (self.kind()?, value) {
                (_, Value::Null) => {
                    if !self.lengths.is_null() {
                        *self.lengths.add(row) = 0;
                    }
                }
                (Kind::Varchar(_), Value::Text(text)) => self.put(row, place, text.as_bytes())?,
                (Kind::Raw(_), Value::Bytes(bytes)) => self.put(row, place, bytes)?,
                (Kind::Number, Value::Integer(integer)) if self.code == code::INTEGER => {
                    place.cast::<i64>().write_unaligned(*integer);
                }
                (Kind::Number, Value::Integer(_) | Value::Float(_)) => {
                    let encoded = number::from_value(value).unwrap_or_default();
                    std::ptr::copy_nonoverlapping(encoded.as_ptr(), place, number::SIZE);
                }
                (Kind::Double, Value::Float(float)) => place.cast::<f64>().write_unaligned(*float),
                (Kind::Clob, Value::Text(text)) => fill(locator(), text.as_bytes(), true)?,
                (Kind::Blob, Value::Bytes(bytes)) => fill(locator(), bytes, false)?,
                (Kind::Timestamp, Value::Timestamp(micros)) => {
                    handle::timestamp(locator(), |moment| *moment = datetime::moment(*micros))?;
                }
                (kind, value) => return Err(mismatch(kind, value)),
            }
        }
        Ok(())
    }

    /// # Safety
    ///
    /// `place` has room for `self.size` bytes.
    unsafe fn put(&self, row: usize, place: *mut u8, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.len() > self.size {
            return Err(OraError::new(
                6502,
                "PL/SQL: numeric or value error: character string buffer too small",
            )
            .into());
        }
        // SAFETY: checked to fit; the lengths are the caller's.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
            if !self.lengths.is_null() {
                *self.lengths.add(row) = u32::try_from(bytes.len()).unwrap_or(0);
            }
        }
        Ok(())
    }

    unsafe fn write_dynamic(
        &self,
        context: Pointer,
        callback: DefineCallback,
        row: usize,
        value: &Value,
    ) -> Result<(), Failure> {
        let bytes: &[u8] = match (self.kind()?, value) {
            (_, Value::Null) => &[],
            (Kind::Varchar(_), Value::Text(text)) => text.as_bytes(),
            (Kind::Raw(_), Value::Bytes(bytes)) => bytes,
            (kind, value) => return Err(mismatch(kind, value)),
        };
        let mut rest = bytes;
        let mut piece = 0_u8;
        loop {
            let mut place: Pointer = std::ptr::null_mut();
            let mut indicator: Pointer = std::ptr::null_mut();
            let mut length: *mut u32 = std::ptr::null_mut();
            let mut code: *mut u16 = std::ptr::null_mut();
            // SAFETY: the callback gets its own context and places for what it answers, and answers
            // with memory of the length it says.
            unsafe {
                let answer = callback(
                    context,
                    handle::pointer(self.handle),
                    u32::try_from(row).unwrap_or(0),
                    &raw mut place,
                    &raw mut length,
                    &raw mut piece,
                    &raw mut indicator,
                    &raw mut code,
                );
                if answer != CONTINUE {
                    return Err(OraError::new(24343, "user defined callback error").into());
                }
                let taken = rest.len().min(*length as usize);
                std::ptr::copy_nonoverlapping(rest.as_ptr(), place.cast::<u8>(), taken);
                *length = u32::try_from(taken).unwrap_or(0);
                *indicator.cast::<i16>() = if *value == Value::Null { -1 } else { 0 };
                rest = &rest[taken..];
            }
            if rest.is_empty() {
                return Ok(());
            }
            piece = 2;
        }
    }
}

fn fill(locator: Pointer, bytes: &[u8], is_text: bool) -> Result<(), Failure> {
    handle::lob(locator, |lob| {
        *lob = Lob {
            bytes: bytes.to_vec(),
            is_text,
            temporary: lob.temporary,
        };
    })
}

fn utf8(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|_| OraError::new(29275, "partial multibyte character").into())
}

fn mismatch(kind: Kind, value: &Value) -> Failure {
    OraError::new(
        932,
        format_args!("inconsistent datatypes: {value:?} does not go into {kind:?}"),
    )
    .into()
}
