//! The entry points that ODPI-C looks up by name, as C functions.
//!
//! A handle or descriptor is a number made to look like a pointer: nothing but this library may look
//! behind it, and a freed or foreign one is refused instead of followed. Memory of the caller is
//! touched only where the interface says so: attributes, bound variables, and text it points to.

mod attribute;
mod bind;
mod buffer;
mod datetime;
mod environment;
mod handle;
mod lob;
mod memory;
mod pool;
mod service;
mod statement;

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::OraError;
use handle::{Body, body};

pub(crate) type Pointer = *mut c_void;

pub(crate) const SUCCESS: c_int = 0;
pub(crate) const ERROR: c_int = -1;
pub(crate) const INVALID_HANDLE: c_int = -2;
pub(crate) const NO_DATA: c_int = 100;
pub(crate) const CONTINUE: c_int = -24200;

/// Runs the work of an entry point and leaves its error where `OCIErrorGet` finds it.
pub(crate) fn answer(
    error_handle: Pointer,
    work: impl FnOnce() -> Result<c_int, Failure>,
) -> c_int {
    let outcome = catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Failure::Ora(OraError::new(600, "the stand-in panicked"))));
    match outcome {
        Ok(code) => code,
        Err(Failure::Handle) => INVALID_HANDLE,
        Err(Failure::Ora(error)) => {
            let stored = body(error_handle, |body| match body {
                Body::Error(slot) => {
                    *slot = Some(error);
                    true
                }
                _ => false,
            });
            if stored == Ok(true) {
                ERROR
            } else {
                INVALID_HANDLE
            }
        }
    }
}

/// Why an entry point did not succeed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A handle that is none, is freed, or is of another kind.
    Handle,
    /// An error with a number.
    Ora(OraError),
}

impl From<OraError> for Failure {
    fn from(error: OraError) -> Self {
        Self::Ora(error)
    }
}

/// The text of a length that a caller points to; empty when there is none.
///
/// # Safety
///
/// `text` is null or points to `length` bytes.
pub(crate) unsafe fn text(text: *const u8, length: usize) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller vouches for the pointer and the length.
    let bytes = unsafe { std::slice::from_raw_parts(text, length) };
    String::from_utf8_lossy(bytes).into_owned()
}
