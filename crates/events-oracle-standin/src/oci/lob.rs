//! Large objects: locators that hold their bytes themselves.

use std::ffi::c_int;

use super::handle::{self, Lob};
use super::{Failure, Pointer, SUCCESS, answer};
use crate::OraError;

#[unsafe(no_mangle)]
extern "C" fn OCILobCreateTemporary(
    service: Pointer,
    error: Pointer,
    locator: Pointer,
    _charset: u16,
    _form: u8,
    kind: u8,
    _cache: c_int,
    _duration: u16,
) -> c_int {
    const CLOB: u8 = 2;
    answer(error, || {
        handle::session(service)?;
        handle::lob(locator, |lob| {
            *lob = Lob {
                bytes: Vec::new(),
                is_text: kind == CLOB,
                temporary: true,
            };
        })?;
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCILobIsTemporary(
    _environment: Pointer,
    error: Pointer,
    locator: Pointer,
    temporary: *mut c_int,
) -> c_int {
    answer(error, || {
        let is = handle::lob(locator, |lob| lob.temporary)?;
        // SAFETY: the caller passes a place for the answer.
        unsafe { *temporary = c_int::from(is) };
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
extern "C" fn OCILobFreeTemporary(service: Pointer, error: Pointer, locator: Pointer) -> c_int {
    answer(error, || {
        handle::session(service)?;
        handle::lob(locator, |lob| *lob = Lob::default())?;
        Ok(SUCCESS)
    })
}

/// The length of a text as Oracle counts it: in units of UTF-16.
fn units(text: &str) -> u64 {
    text.encode_utf16().count() as u64
}

fn as_text(lob: &Lob) -> Result<&str, Failure> {
    std::str::from_utf8(&lob.bytes)
        .map_err(|_| OraError::new(29275, "partial multibyte character").into())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCILobGetLength2(
    service: Pointer,
    error: Pointer,
    locator: Pointer,
    length: *mut u64,
) -> c_int {
    answer(error, || {
        handle::session(service)?;
        let found = handle::lob(locator, |lob| {
            if lob.is_text {
                as_text(lob).map(units)
            } else {
                Ok(lob.bytes.len() as u64)
            }
        })??;
        // SAFETY: the caller passes a place for the length.
        unsafe { *length = found };
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCILobRead2(
    service: Pointer,
    error: Pointer,
    locator: Pointer,
    bytes: *mut u64,
    characters: *mut u64,
    offset: u64,
    buffer: *mut u8,
    size: u64,
    _piece: u8,
    _context: Pointer,
    _callback: Pointer,
    _charset: u16,
    _form: u8,
) -> c_int {
    answer(error, || {
        handle::session(service)?;
        let (part, read) = handle::lob(locator, |lob| {
            // SAFETY: the caller passes how much it wants.
            let wanted = unsafe { if lob.is_text { *characters } else { *bytes } };
            let skipped = offset.saturating_sub(1);
            if !lob.is_text {
                let part = lob.bytes.iter().skip(index(skipped)).take(index(wanted));
                return Ok((part.copied().collect::<Vec<u8>>(), 0));
            }
            let utf16: Vec<u16> = as_text(lob)?.encode_utf16().collect();
            let part: Vec<u16> = utf16
                .into_iter()
                .skip(index(skipped))
                .take(index(wanted))
                .collect();
            let text = String::from_utf16(&part).map_err(|_| {
                OraError::new(22921, "length of input buffer is smaller than amount")
            })?;
            Ok::<_, Failure>((text.into_bytes(), part.len() as u64))
        })??;
        if part.len() as u64 > size {
            return Err(OraError::new(24804, "lob read buffer is too small").into());
        }
        // SAFETY: checked to fit; the counts are the caller's.
        unsafe {
            std::ptr::copy_nonoverlapping(part.as_ptr(), buffer, part.len());
            *bytes = part.len() as u64;
            *characters = read;
        }
        Ok(SUCCESS)
    })
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCILobWrite2(
    service: Pointer,
    error: Pointer,
    locator: Pointer,
    bytes: *mut u64,
    _characters: *mut u64,
    offset: u64,
    buffer: *const u8,
    _size: u64,
    _piece: u8,
    _context: Pointer,
    _callback: Pointer,
    _charset: u16,
    _form: u8,
) -> c_int {
    answer(error, || {
        handle::session(service)?;
        handle::lob(locator, |lob| {
            // Written whole and from the first: ODPI-C trims before it writes.
            if offset != 1 || !lob.bytes.is_empty() {
                return Err(OraError::new(24315, "the stand-in writes a LOB as a whole").into());
            }
            // SAFETY: the caller passes a buffer of as many bytes as it wants written.
            lob.bytes = unsafe { std::slice::from_raw_parts(buffer, index(*bytes)) }.to_vec();
            Ok::<_, Failure>(())
        })??;
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
extern "C" fn OCILobTrim2(
    service: Pointer,
    error: Pointer,
    locator: Pointer,
    length: u64,
) -> c_int {
    answer(error, || {
        handle::session(service)?;
        handle::lob(locator, |lob| lob.bytes.truncate(index(length)))?;
        Ok(SUCCESS)
    })
}
