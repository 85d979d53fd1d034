//! Thread keys, and what ODPI-C keeps with a session.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};

use parking_lot::Mutex;

use super::handle;
use super::{ERROR, Pointer, SUCCESS, answer, text};

type Destructor = unsafe extern "C" fn(*mut c_void);

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIThreadKeyInit(
    _handle: Pointer,
    _error: Pointer,
    key: *mut Pointer,
    destructor: Option<Destructor>,
) -> c_int {
    let mut made: libc::pthread_key_t = 0;
    // SAFETY: `made` is a place for the key.
    if unsafe { libc::pthread_key_create(&raw mut made, destructor) } != 0 {
        return ERROR;
    }
    // Keys count from zero and a key must not be null.
    // SAFETY: the caller passes a place for the key.
    unsafe { *key = handle::pointer(made as usize + 1) };
    SUCCESS
}

fn key(key: Pointer) -> libc::pthread_key_t {
    libc::pthread_key_t::try_from(key.addr().wrapping_sub(1)).unwrap_or(libc::pthread_key_t::MAX)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIThreadKeyGet(
    _handle: Pointer,
    _error: Pointer,
    place: Pointer,
    value: *mut Pointer,
) -> c_int {
    // SAFETY: the caller passes a place for the value; an unknown key answers null.
    unsafe { *value = libc::pthread_getspecific(key(place)) };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIThreadKeySet(
    _handle: Pointer,
    _error: Pointer,
    place: Pointer,
    value: Pointer,
) -> c_int {
    // SAFETY: the value is the caller's, and only given back.
    match unsafe { libc::pthread_setspecific(key(place), value) } {
        0 => SUCCESS,
        _ => ERROR,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIThreadKeyDestroy(
    _handle: Pointer,
    _error: Pointer,
    place: *mut Pointer,
) -> c_int {
    // SAFETY: the caller passes the key it got.
    match unsafe { libc::pthread_key_delete(key(*place)) } {
        0 => SUCCESS,
        _ => ERROR,
    }
}

/// Memory asked for, so that what is given back was given.
static GIVEN: Mutex<Option<HashMap<usize, Box<[u64]>>>> = Mutex::new(None);

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIMemoryAlloc(
    session: Pointer,
    error: Pointer,
    place: *mut Pointer,
    _duration: u16,
    size: u32,
    _flags: u32,
) -> c_int {
    answer(error, || {
        handle::login(session, |_| ())?;
        let mut memory = vec![0_u64; (size as usize).div_ceil(8)].into_boxed_slice();
        let pointer = memory.as_mut_ptr().cast::<c_void>();
        GIVEN
            .lock()
            .get_or_insert_default()
            .insert(pointer.addr(), memory);
        // SAFETY: the caller passes a place for the pointer.
        unsafe { *place = pointer };
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
extern "C" fn OCIMemoryFree(_session: Pointer, error: Pointer, memory: Pointer) -> c_int {
    answer(error, || {
        match GIVEN.lock().get_or_insert_default().remove(&memory.addr()) {
            Some(_) => Ok(SUCCESS),
            None => Err(super::Failure::Handle),
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIContextGetValue(
    session: Pointer,
    error: Pointer,
    name: *const u8,
    length: u8,
    value: *mut Pointer,
) -> c_int {
    answer(error, || {
        // SAFETY: the caller passes a name and its length.
        let name = unsafe { text(name, length.into()) };
        let found = handle::login(session, |login| login.context.get(&name).copied())?;
        let pointer = found.map_or(std::ptr::null_mut(), |address| {
            std::ptr::with_exposed_provenance_mut(address)
        });
        // SAFETY: the caller passes a place for the pointer.
        unsafe { *value = pointer };
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIContextSetValue(
    session: Pointer,
    error: Pointer,
    _duration: u16,
    name: *const u8,
    length: u8,
    value: Pointer,
) -> c_int {
    answer(error, || {
        // SAFETY: the caller passes a name and its length.
        let name = unsafe { text(name, length.into()) };
        handle::login(session, |login| {
            if value.is_null() {
                login.context.remove(&name);
            } else {
                login.context.insert(name, value.expose_provenance());
            }
        })?;
        Ok(SUCCESS)
    })
}
