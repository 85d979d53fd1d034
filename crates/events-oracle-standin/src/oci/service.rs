//! Servers, logins, sessions and transactions.

use std::ffi::{CStr, c_char, c_int};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::handle::{self, pointer};
use super::{Failure, Pointer, SUCCESS, answer, text};
use crate::OraError;
use crate::gate::Gate;
use crate::session::Session;

/// The server that a connect string names: `//host:port/service`, or a description.
///
/// Servers live in the folder that this library was loaded from.
pub(crate) fn folder(connect_string: &str) -> Result<PathBuf, Failure> {
    let unknown = || {
        OraError::new(
            12154,
            "TNS:could not resolve the connect identifier specified",
        )
    };
    let name = match connect_string.split_once("(SERVICE_NAME=") {
        Some((_, rest)) => rest.split(')').next(),
        None => connect_string
            .rsplit('/')
            .next()
            .and_then(|name| name.split([':', '?']).next()),
    };
    let name = name.unwrap_or_default();
    let library = library().ok_or_else(unknown)?;
    Ok(crate::Server::at(&library, name)?.folder())
}

/// How long the client waits for an answer, where the connect string says it.
pub(crate) fn connect_timeout(connect_string: &str) -> Option<Duration> {
    let (_, rest) = connect_string.split_once("(CONNECT_TIMEOUT=")?;
    let seconds = rest.split(')').next()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn library() -> Option<PathBuf> {
    // SAFETY: a plain C structure, for which zeros are a value.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: an address of this library, and a place for what is known of it.
    let found = unsafe { libc::dladdr(OCIServerAttach as *const libc::c_void, &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's own text, ended by a zero.
    let path = unsafe { CStr::from_ptr(info.dli_fname) }.to_str().ok()?;
    Path::new(path).parent().map(Path::to_owned)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIServerAttach(
    server: Pointer,
    error: Pointer,
    name: *const u8,
    length: i32,
    _mode: u32,
) -> c_int {
    answer(error, || {
        // SAFETY: the caller passes a text and its length.
        let name = unsafe { text(name, usize::try_from(length).unwrap_or(0)) };
        let folder = folder(&name)?;
        Gate::reach(&folder, connect_timeout(&name))?;
        handle::server(server, |server| server.folder = Some(folder))?;
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
extern "C" fn OCIServerDetach(server: Pointer, error: Pointer, _mode: u32) -> c_int {
    answer(error, || {
        handle::server(server, |server| *server = handle::Server::default())?;
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
extern "C" fn OCISessionBegin(
    service: Pointer,
    error: Pointer,
    login: Pointer,
    _credentials: u32,
    _mode: u32,
) -> c_int {
    answer(error, || {
        let server = pointer(handle::service(service, |service| service.server)?);
        let folder = handle::server(server, |server| server.folder.clone())?
            .ok_or_else(|| OraError::new(3114, "not connected to ORACLE"))?;
        let (user, password) =
            handle::login(login, |login| (login.user.clone(), login.password.clone()))?;
        let session = Arc::new(Session::begin(&folder, &user, &password)?);
        handle::server(server, |server| server.session = Some(Arc::clone(&session)))?;
        handle::service(service, |service| service.session = Some(session))?;
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
extern "C" fn OCISessionEnd(
    service: Pointer,
    error: Pointer,
    _login: Pointer,
    _mode: u32,
) -> c_int {
    answer(error, || {
        let session = handle::service(service, |service| service.session.take())?;
        if let Some(session) = session {
            // Oracle commits what a session that ends in order has not.
            if !session.is_dead() {
                let _ = session.commit();
            }
            session.end();
        }
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
extern "C" fn OCIBreak(service: Pointer, error: Pointer) -> c_int {
    answer(error, || {
        handle::session(service)?.call.interrupt();
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
extern "C" fn OCIPing(service: Pointer, error: Pointer, _mode: u32) -> c_int {
    answer(error, || {
        handle::session(service)?.ping()?;
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
extern "C" fn OCITransCommit(service: Pointer, error: Pointer, _flags: u32) -> c_int {
    answer(error, || {
        handle::session(service)?.commit()?;
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
extern "C" fn OCITransRollback(service: Pointer, error: Pointer, _flags: u32) -> c_int {
    answer(error, || {
        handle::session(service)?.rollback()?;
        Ok(SUCCESS)
    })
}

/// The banner says what answers, so that no one takes it for a server.
#[unsafe(no_mangle)]
unsafe extern "C" fn OCIServerRelease2(
    service: Pointer,
    error: Pointer,
    buffer: *mut c_char,
    size: u32,
    _kind: u8,
    version: *mut u32,
    _mode: u32,
) -> c_int {
    answer(error, || {
        let number = handle::session(service)?.version();
        let banner = format!("Stand-in for an Oracle server {number}, not an Oracle server");
        // SAFETY: the caller passes a number and a buffer of `size` bytes, or none.
        unsafe {
            *version = number << 24;
            if !buffer.is_null() && size > 0 {
                let length = banner.len().min(size as usize - 1);
                std::ptr::copy_nonoverlapping(banner.as_ptr(), buffer.cast::<u8>(), length);
                *buffer.add(length) = 0;
            }
        }
        Ok(SUCCESS)
    })
}
