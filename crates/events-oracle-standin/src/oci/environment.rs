//! Versions, environments, allocation of handles, and the text of errors.

use std::ffi::{c_char, c_int};

use super::handle::{self, Body};
use super::{ERROR, Failure, INVALID_HANDLE, NO_DATA, Pointer, SUCCESS, answer};

/// The client version the stand-in passes for.
#[unsafe(no_mangle)]
unsafe extern "C" fn OCIClientVersion(
    major: *mut c_int,
    minor: *mut c_int,
    update: *mut c_int,
    patch: *mut c_int,
    port: *mut c_int,
) {
    // SAFETY: the caller passes five integers to be written.
    unsafe {
        *major = 19;
        *minor = 20;
        *update = 0;
        *patch = 0;
        *port = 0;
    }
}

#[unsafe(no_mangle)]
extern "C" fn OCIThreadProcessInit() {}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIEnvNlsCreate(
    environment: *mut Pointer,
    _mode: u32,
    _context: Pointer,
    _allocate: Pointer,
    _reallocate: Pointer,
    _free: Pointer,
    _extra: usize,
    _user: *mut Pointer,
    _charset: u16,
    _ncharset: u16,
) -> c_int {
    let made = handle::allocate(handle::ENVIRONMENT, std::ptr::null_mut(), Body::Environment);
    // SAFETY: the caller passes a place for the handle.
    unsafe { *environment = made };
    SUCCESS
}

unsafe fn allocate(parent: Pointer, place: *mut Pointer, kind: u32) -> c_int {
    match handle::kind(parent).and_then(|_| handle::blank(kind)) {
        Ok(body) => {
            // SAFETY: the caller passes a place for the handle.
            unsafe { *place = handle::allocate(kind, parent, body) };
            SUCCESS
        }
        Err(_) => INVALID_HANDLE,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIHandleAlloc(
    parent: Pointer,
    place: *mut Pointer,
    kind: u32,
    _extra: usize,
    _user: *mut Pointer,
) -> c_int {
    // SAFETY: passed on from the caller.
    unsafe { allocate(parent, place, kind) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIDescriptorAlloc(
    parent: Pointer,
    place: *mut Pointer,
    kind: u32,
    _extra: usize,
    _user: *mut Pointer,
) -> c_int {
    // SAFETY: passed on from the caller.
    unsafe { allocate(parent, place, kind) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIArrayDescriptorAlloc(
    parent: Pointer,
    places: *mut Pointer,
    kind: u32,
    count: u32,
    _extra: usize,
    _user: *mut Pointer,
) -> c_int {
    for index in 0..count as usize {
        // SAFETY: the caller passes as many places as it counts.
        let code = unsafe { allocate(parent, places.add(index), kind) };
        if code != SUCCESS {
            return code;
        }
    }
    ARRAYS.lock().push((
        // SAFETY: the first place was written above, or there is none.
        if count == 0 {
            0
        } else {
            unsafe { *places }.addr()
        },
        // SAFETY: as above.
        (0..count as usize)
            .map(|index| unsafe { *places.add(index) }.addr())
            .collect(),
    ));
    SUCCESS
}

/// Arrays of descriptors, which are freed by their first.
static ARRAYS: parking_lot::Mutex<Vec<(usize, Vec<usize>)>> = parking_lot::Mutex::new(Vec::new());

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIArrayDescriptorFree(places: *mut Pointer, kind: u32) -> c_int {
    // SAFETY: the caller passes the array that was filled for it.
    let first = unsafe { *places }.addr();
    let mut arrays = ARRAYS.lock();
    let Some(at) = arrays.iter().position(|(key, _)| *key == first) else {
        return INVALID_HANDLE;
    };
    let (_, members) = arrays.swap_remove(at);
    drop(arrays);
    for member in members {
        if handle::free(handle::pointer(member), kind).is_err() {
            return INVALID_HANDLE;
        }
    }
    SUCCESS
}

fn free(place: Pointer, kind: u32) -> c_int {
    match handle::free(place, kind) {
        Ok(()) => SUCCESS,
        Err(_) => INVALID_HANDLE,
    }
}

#[unsafe(no_mangle)]
extern "C" fn OCIHandleFree(place: Pointer, kind: u32) -> c_int {
    free(place, kind)
}

#[unsafe(no_mangle)]
extern "C" fn OCIDescriptorFree(place: Pointer, kind: u32) -> c_int {
    free(place, kind)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIErrorGet(
    error: Pointer,
    record: u32,
    _state: *mut c_char,
    code: *mut i32,
    buffer: *mut u8,
    size: u32,
    _kind: u32,
) -> c_int {
    if record != 1 {
        return NO_DATA;
    }
    let stored = handle::body(error, |body| match body {
        Body::Error(stored) => Ok(stored.clone()),
        _ => Err(Failure::Handle),
    });
    match stored {
        Ok(Ok(Some(stored))) => {
            let bytes = stored.message.as_bytes();
            let length = bytes.len().min((size as usize).saturating_sub(1));
            // SAFETY: the caller passes an integer and a buffer of `size` bytes.
            unsafe {
                *code = stored.code;
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, length);
                *buffer.add(length) = 0;
            }
            SUCCESS
        }
        Ok(Ok(None)) => NO_DATA,
        _ => ERROR,
    }
}

/// Only the widest character is asked for: four bytes, as in AL32UTF8.
#[unsafe(no_mangle)]
unsafe extern "C" fn OCINlsNumericInfoGet(
    _environment: Pointer,
    error: Pointer,
    value: *mut i32,
    item: u16,
) -> c_int {
    const WIDEST_CHARACTER: u16 = 91;
    answer(error, || {
        if item != WIDEST_CHARACTER {
            return Err(crate::OraError::new(
                24315,
                format_args!("the stand-in knows no language item {item}"),
            )
            .into());
        }
        // SAFETY: the caller passes an integer.
        unsafe { *value = 4 };
        Ok(SUCCESS)
    })
}
